skip_if_not_installed("quantreg")

cars <- transform(mtcars, cyl = factor(cyl), am = c("auto", "manual")[am + 1])

test_that("an rq answers its one quantile, with missing values", {
  served <- opened(quantreg::rq(mpg ~ wt + log(hp) + cyl + am, 0.75, cars))
  expect_identical(input_types(served), c("numeric", "numeric", "factor", "string"))
  expect_identical(served$description$outputs, list(response = list(type = "number")))
  frame <- with_missing(cars, c("wt", "hp", "cyl", "am"))
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
  expect_true(proof_of(served)$rowwise)
})

test_that("several taus have a column each, also without the model frame", {
  served <- opened(quantreg::rq(mpg ~ wt + cyl, c(0.1, 0.5, 0.9), cars, model = FALSE))
  expect_identical(served$description$outputs$quantiles$columns, c("tau= 0.1", "tau= 0.5", "tau= 0.9"))
  frame <- with_missing(cars, c("wt", "cyl"))
  expect_scored(served, frame, "quantiles", bare(predict(served$model, frame)))
  expect_true(proof_of(served)$rowwise)
})
