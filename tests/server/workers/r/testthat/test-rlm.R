skip_if_not_installed("MASS")

test_that("an rlm has the outputs of an lm", {
  served <- opened(MASS::rlm(mpg ~ wt + factor(cyl), mtcars, model = FALSE))
  expect_identical(served$description$package, "MASS")
  expect_identical(names(served$description$outputs), c("response", "se", "confidence", "prediction", "terms"))
  expect_identical(names(served$description$options), "level")
  expect_identical(served$description$example$wt, 2.62)
  frame <- with_missing(mtcars, c("wt", "cyl"))
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
  expected <- predict(served$model, frame, interval = "confidence", level = 0.9)
  expect_scored(served, frame, "confidence", bare(expected), list(level = 0.9))
  expected <- predict(served$model, frame, se.fit = TRUE)
  expect_scored(served, frame, "se", bare(cbind(fit = expected$fit, se = expected$se.fit)))
  expect_true(proof_of(served)$rowwise)
})

test_that("an rlm that predict() cannot answer for is refused with the cure", {
  expect_refused("no_schema", "x.ret = TRUE", opened(MASS::rlm(mpg ~ wt, mtcars, x.ret = FALSE)))
  expect_refused("no_schema", "formula", opened(MASS::rlm(cbind(1, mtcars$wt), mtcars$mpg)))
})
