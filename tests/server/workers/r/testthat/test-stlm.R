skip_if_not_installed("forecast")

test_that("an stlm takes a horizon and answers as forecast() does", {
  for (method in c("ets", "arima")) expect_forecast(opened(forecast::stlm(USAccDeaths, method = method)), 15L)
})

test_that("an stlm with regressors is refused with a way out", {
  model <- forecast::stlm(USAccDeaths, method = "arima", xreg = cbind(x = sin(1:72)))
  expect_refused("no_schema", "forecast::Arima\\(\\) with xreg", opened(model))
})
