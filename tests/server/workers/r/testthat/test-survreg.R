skip_if_not_installed("survival")

lung <- survival::lung

test_that("a survreg answers response, lp, terms and quantiles, of one row too", {
  served <- opened(survival::survreg(survival::Surv(time, status) ~ age + factor(sex), lung))
  expect_identical(names(served$description$outputs), c("response", "lp", "quantiles", "terms"))
  expect_identical(served$description$outputs$quantiles$columns, c("0.1", "0.9"))
  frame <- with_missing(lung[1:30, ], c("age", "sex"))
  for (type in c("response", "lp", "terms")) {
    expect_scored(served, frame, type, bare(predict(served$model, frame, type = type)))
  }
  both <- predict(served$model, frame, type = "quantile")
  colnames(both) <- c("0.1", "0.9")
  expect_scored(served, frame, "quantiles", bare(both))
  median <- predict(served$model, frame, type = "quantile", p = 0.5)
  expect_scored(served, frame, "quantiles", bare(median), list(p = 0.5))
  expect_scored(served, frame, "response", bare(predict(served$model, frame)), list(p = 0.5))
  expect_true(proof_of(served)$rowwise)
})

# As an analyst works, for as long as the value takes.
attached <- function(value) {
  suppressPackageStartupMessages(library(survival))
  on.exit(detach("package:survival"))
  value
}

test_that("strata with a scale each have quantiles if the data is kept", {
  formula <- survival::Surv(time, status) ~ age + strata(sex)
  served <- opened(attached(survreg(formula, lung)))
  expect_identical(input_types(served), c("numeric", "numeric"))
  expect_identical(names(served$description$outputs), c("response", "lp", "terms"))
  expect_length(served$description$options, 0)
  served <- opened(attached(survreg(formula, lung, model = TRUE)))
  expected <- predict(served$model, lung[1:20, ], type = "quantile", p = 0.25)
  expect_scored(served, lung[1:20, ], "quantiles", bare(expected), list(p = 0.25))
})
