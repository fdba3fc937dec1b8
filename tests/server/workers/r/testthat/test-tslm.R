skip_if_not_installed("forecast")

test_that("a tslm of trend and season takes a horizon and answers as forecast() does", {
  expect_forecast(opened(forecast::tslm(USAccDeaths ~ trend + season)), 7L)
  served <- opened(forecast::tslm(AirPassengers ~ trend + season, lambda = 0, biasadj = TRUE))
  expect_identical(served$description$package, "forecast")
  expect_identical(served$description$options$h$default, 24L)
  expect_forecast(served, 30L)
})

expect_rows_forecast <- function(served, future, sent = future) {
  steps <- forecast::forecast(served$model, newdata = future, level = 80)
  reply <- scorer_of(served)(unname(as.list(sent)), "interval", options = list(level = 80))
  expect_identical(reply[[1]], unname(lapply(steps[c("mean", "lower", "upper")], as.vector)))
}

test_that("with other regressors the rows are the steps ahead, and trend and season are counted from the first", {
  drivers <- log(Seatbelts[, "drivers"])
  price <- Seatbelts[, "PetrolPrice"]
  served <- opened(forecast::tslm(drivers ~ trend + season + price + I(price^2)))
  expect_identical(input_names(served), "price")
  expect_identical(names(served$description$options), "level")
  expect_false(proof_of(served)$rowwise)
  expect_rows_forecast(served, data.frame(price = c(0.1, 0.12, 0.09)))
})

test_that("what a tslm takes for the terms of fourier() are their columns", {
  served <- opened(forecast::tslm(USAccDeaths ~ trend + forecast::fourier(USAccDeaths, K = 2)))
  expect_identical(input_names(served), c("S1-12", "C1-12", "S2-12", "C2-12"))
  expect_rows_forecast(served, as.data.frame(forecast::fourier(USAccDeaths, K = 2, h = 6)))
})
