test_that("a loess answers NA outside of its data and for a missing value", {
  served <- opened(loess(dist ~ speed, cars))
  expect_identical(names(served$description$outputs), c("response", "se"))
  expect_identical(served$description$example, list(speed = 4))
  frame <- data.frame(speed = c(4, 10.5, NA, 25, 25.1, 1e300))
  expected <- predict(served$model, frame, se = TRUE)
  expect_identical(sum(is.na(expected$fit)), 3L)
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
  expect_scored(served, frame, "se", bare(cbind(fit = expected$fit, se = expected$se.fit)))
  expect_true(proof_of(served)$rowwise)
})

test_that("the inputs of a loess are raw variables", {
  served <- opened(loess(mpg ~ wt + log(hp), mtcars, degree = 1))
  expect_identical(input_names(served), c("wt", "hp"))
  expect_identical(served$description$example, list(wt = 2.62, hp = 110))
  expect_scored(served, mtcars, "response", bare(predict(served$model, mtcars)))
})
