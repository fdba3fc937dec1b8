test_that("a HoltWinters takes a horizon and answers response and interval, with and without trend and season", {
  models <- list(
    HoltWinters(AirPassengers, seasonal = "multiplicative"), HoltWinters(uspop, gamma = FALSE),
    HoltWinters(Nile, gamma = FALSE, beta = FALSE)
  )
  for (model in models) {
    served <- opened(model)
    expect_identical(served$description$package, "stats")
    steps <- predict(model, 7, prediction.interval = TRUE, level = 0.8)
    expect_steps(served, 7L, predict(model, 7)[, 1], list(steps[, "fit"], steps[, "lwr"], steps[, "upr"]))
  }
  expect_identical(opened(models[[1]])$description$options$h$default, 24L)
  expect_identical(served$description$options$h$default, 10L)
})
