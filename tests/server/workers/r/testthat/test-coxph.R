skip_if_not_installed("survival")

lung <- survival::lung

# As an analyst works, for as long as the value takes.
attached <- function(value) {
  suppressPackageStartupMessages(library(survival))
  on.exit(detach("package:survival"))
  value
}

test_that("a coxph answers risk and lp, also without the data it was fitted to", {
  served <- opened(survival::coxph(survival::Surv(time, status) ~ log(age) + factor(sex), lung))
  expect_identical(input_names(served), c("age", "sex"))
  expect_identical(names(served$description$outputs), c("risk", "lp"))
  frame <- with_missing(lung[1:30, ], c("age", "sex"))
  for (type in c("risk", "lp")) {
    expect_scored(served, frame, type, bare(predict(served$model, frame, type = type)))
  }
  expect_true(proof_of(served)$rowwise)
})

test_that("with the data kept there are terms, and survival at a time of the request", {
  served <- opened(attached(coxph(Surv(time / 30, status == 2) ~ age + sex, lung, model = TRUE)))
  expect_identical(names(served$description$outputs), c("risk", "lp", "terms", "survival"))
  expect_identical(served$description$options$times$default, stats::median(lung$time / 30))
  frame <- with_missing(lung[1:30, ], c("age", "sex"))
  at <- function(months) {
    attached(predict(served$model, transform(frame, time = 30 * months, status = 2), type = "survival"))
  }
  expect_scored(served, frame, "survival", bare(at(12)), list(times = 12))
  both <- cbind(`6` = at(6), `12` = at(12))
  expect_scored(served, frame, "survival", bare(both), list(times = list(6, 12)))
  expect_scored(served, frame, "lp", bare(predict(served$model, frame)), list(times = 12))
  expect_true(proof_of(served)$rowwise)
})

test_that("strata need the data, and ask for the raw variable", {
  formula <- survival::Surv(time, status) ~ age + strata(sex)
  expect_refused("no_schema", "model = TRUE", opened(attached(coxph(formula, lung))))
  for (model in attached(list(coxph(formula, lung, x = TRUE), coxph(formula, lung, model = TRUE)))) {
    served <- opened(model)
    expect_identical(input_types(served), c("numeric", "numeric"))
    expect_scored(served, lung[1:20, ], "risk", bare(predict(served$model, lung[1:20, ], type = "risk")))
    # predict() itself fails on a missing stratum where it answers NA to any other missing value.
    reply <- scorer_of(served)(list(c(60, 60), c(NA, 1)), "survival")
    expect_identical(is.na(reply[[1]]), c(TRUE, FALSE))
  }
})

test_that("strata of factors and text ask for their levels", {
  patients <- transform(survival::veteran, trt = c("standard", "test")[trt])
  served <- opened(attached(coxph(Surv(time, status) ~ karno + strata(celltype, trt), patients, model = TRUE)))
  expect_identical(input_names(served), c("karno", "celltype", "trt"))
  expect_identical(served$description$inputs[[2]]$levels, levels(patients$celltype))
  expect_identical(served$description$inputs[[3]]$levels, c("standard", "test"))
  expect_scored(served, patients[1:40, ], "lp", bare(predict(served$model, patients[1:40, ])))
})

test_that("a frailty is no input, and what has no prediction is refused", {
  served <- opened(attached(coxph(Surv(time, status) ~ age + sex + frailty(inst), lung)))
  expect_identical(input_names(served), c("age", "sex"))
  frame <- lung[1:20, c("age", "sex")]
  expect_scored(served, frame, "risk", bare(predict(served$model, frame, type = "risk")))
  model <- survival::coxph(survival::Surv(time, status) ~ tt(age), lung, tt = function(x, t, ...) x * log(t))
  expect_refused("no_schema", "without tt\\(\\)", opened(model))
})
