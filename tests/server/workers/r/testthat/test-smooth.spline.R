test_that("a smooth.spline takes x and answers the curve or a derivative", {
  served <- opened(smooth.spline(cars$speed, cars$dist))
  expect_identical(input_names(served), "x")
  expect_false(takes_missing(served))
  expect_identical(served$description$example, list(x = 4))
  frame <- data.frame(x = c(4, 10.5, 25, -3, 1e6))
  expect_scored(served, frame, "response", predict(served$model, frame$x)$y)
  expect_scored(served, frame, "response", predict(served$model, frame$x, deriv = 2)$y, list(deriv = 2))
  expect_identical(served$description$options$deriv$maximum, 3L)
  expect_true(proof_of(served)$rowwise)
})

test_that("a smooth.spline without its data is described all the same", {
  served <- opened(smooth.spline(cars, keep.data = FALSE))
  expect_identical(served$description$example, list(x = 4))
})
