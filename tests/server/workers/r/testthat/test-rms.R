skip_if_not_installed("rms")

# rms's functions need to be attached where the model is fitted, and are not where it is served.
fitted_with_rms <- function(fit) {
  attachNamespace("rms")
  on.exit(detach("package:rms"))
  fit(transform(survival::lung, sex = factor(sex, labels = c("m", "f")), dead = status == 2))
}

patients <- transform(survival::lung, sex = factor(sex, labels = c("m", "f")))[1:30, c("age", "ph.ecog", "sex", "inst")]

test_that("a logistic model answers its linear predictor and the chance", {
  served <- opened(fitted_with_rms(function(d) lrm(dead ~ rcs(age, 3) + ph.ecog, d)))
  expect_identical(served$description$package, "rms")
  expect_identical(names(served$description$outputs), c("lp", "fitted"))
  expect_identical(input_types(served), c("numeric", "numeric"))
  for (type in c("lp", "fitted")) {
    expect_scored(served, patients, type, bare(predict(served$model, patients, type = type)))
  }
})

test_that("a factor has the levels of the design", {
  served <- opened(fitted_with_rms(function(d) ols(wt.loss ~ rcs(age, 4) + sex + catg(ph.ecog), d)))
  expect_identical(input_types(served), c("numeric", "factor", "numeric"))
  expect_identical(served$description$inputs[[2]]$levels, c("m", "f"))
  expect_identical(served$description$inputs[[3]]$allowed, c(0, 1, 2, 3))
  # rms cannot code a category that is missing in all rows.
  known <- patients[!is.na(patients$ph.ecog), ]
  expect_scored(served, known, "lp", bare(predict(served$model, known)))
})

test_that("what inherits from glm and coxph is not asked for their outputs", {
  served <- opened(fitted_with_rms(function(d) Glm(dead ~ age + ph.ecog, binomial, d)))
  expect_identical(names(served$description$outputs), c("lp", "fitted"))
  expect_scored(served, patients, "fitted", bare(binomial()$linkinv(predict(served$model, patients))))
  served <- opened(fitted_with_rms(function(d) cph(survival::Surv(time, dead) ~ age + strat(sex), d)))
  expect_identical(names(served$description$outputs), "lp")
  expect_identical(served$description$options, stats::setNames(list(), character()))
  expect_scored(served, patients, "lp", bare(predict(served$model, patients)))
})

test_that("of an ordinal response the chances to reach each level are columns, of one row too", {
  served <- opened(fitted_with_rms(function(d) lrm(factor(ph.karno > 70, c(FALSE, TRUE)) ~ age, d)))
  expect_identical(names(served$description$outputs), c("lp", "fitted"))
  served <- opened(fitted_with_rms(function(d) lrm(ph.ecog ~ age + sex, d)))
  expect_identical(names(served$description$outputs), c("lp", "fitted", "fitted.ind"))
  expect_scored(served, patients, "fitted", bare(predict(served$model, patients, type = "fitted")))
})
