skip_if_not_installed("forecast")

test_that("a seasonal model takes a horizon and answers response and interval", {
  served <- opened(forecast::Arima(USAccDeaths, order = c(0, 1, 1), seasonal = c(0, 1, 1)))
  expect_identical(served$description$package, "forecast")
  expect_true(served$description$horizon)
  expect_identical(served$description$inputs, list())
  expect_identical(served$description$options$h$default, 24L)
  expect_identical(served$description$outputs$interval$columns, c("fit", "lower", "upper"))
  expected <- forecast::forecast(served$model, h = 7, level = 80)
  scorer <- scorer_of(served)
  expect_identical(scorer(list(), "response", options = list(h = 7L))[[1]], as.vector(expected$mean))
  interval <- scorer(list(), "interval", options = list(h = 7L, level = 80))
  expect_identical(interval[[1]], unname(lapply(expected[c("mean", "lower", "upper")], as.vector)))
  expect_length(scorer(list(), "response")[[1]], 24)
})

test_that("a drift goes on", {
  served <- opened(forecast::Arima(LakeHuron, order = c(2, 0, 0), include.drift = TRUE))
  expect_true(served$description$horizon)
  reply <- scorer_of(served)(list(), "response", options = list(h = 3L))
  expect_identical(reply[[1]], as.vector(forecast::forecast(served$model, h = 3)$mean))
})

test_that("with regressors the rows are the steps ahead", {
  drivers <- log(Seatbelts[, "drivers"])
  known <- Seatbelts[, c("PetrolPrice", "law")]
  served <- opened(forecast::Arima(drivers, order = c(1, 0, 0), xreg = known))
  expect_false(served$description$horizon)
  expect_identical(input_names(served), c("PetrolPrice", "law"))
  expect_identical(names(served$description$options), "level")
  frame <- data.frame(PetrolPrice = c(0.1, 0.12, 0.11), law = c(0, 1, 1))
  reply <- scorer_of(served)(as_columns(frame, served$description$inputs), "response")
  expect_identical(reply[[1]], as.vector(forecast::forecast(served$model, xreg = as.matrix(frame))$mean))
  expect_false(proof_of(served)$rowwise)
})

test_that("a model of stats::arima has no need of forecast", {
  served <- opened(arima(lh, order = c(3, 0, 0)))
  expect_identical(served$description$package, "stats")
  expected <- forecast::forecast(served$model, h = 5, level = 95)
  reply <- scorer_of(served)(list(), "interval", options = list(h = 5L))
  expect_identical(reply[[1]], unname(lapply(expected[c("mean", "lower", "upper")], as.vector)))
  time <- seq_along(lh)
  served <- opened(arima(lh, order = c(1, 0, 0), xreg = time))
  expect_identical(input_names(served), "time")
  reply <- scorer_of(served)(list(c(49, 50)), "response")
  expect_identical(reply[[1]], as.vector(predict(arima(lh, order = c(1, 0, 0), xreg = time), 2, newxreg = 49:50)$pred))
})
