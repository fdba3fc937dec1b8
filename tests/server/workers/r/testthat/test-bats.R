skip_if_not_installed("forecast")

test_that("bats and tbats take a horizon and answer as forecast() does", {
  boxed <- forecast::tbats(AirPassengers, use.box.cox = TRUE, biasadj = TRUE, use.parallel = FALSE)
  served <- opened(boxed)
  expect_identical(served$description$package, "forecast")
  expect_identical(served$description$options$h$default, 24L)
  expect_forecast(served, 15L)
  expect_forecast(opened(forecast::bats(WWWusage, use.parallel = FALSE)), 3L)
})
