# Forecasts: no rows, but an option h.

arima_response <- function(h) function(model, rows) as.vector(forecast::forecast(model, h = h)$mean)

arima_interval <- function(h, level) {
  function(model, rows) {
    found <- forecast::forecast(model, h = h, level = level)
    cbind(fit = as.vector(found$mean), lower = as.vector(found$lower), upper = as.vector(found$upper))
  }
}

case(
  "arima-seasonal",
  fit = function() {
    forecast::Arima(AirPassengers, order = c(0, 1, 1), seasonal = c(0, 1, 1), lambda = 0, biasadj = TRUE)
  },
  rows = NULL,
  expect = list(response = arima_response(240), interval = arima_interval(240, 80)),
  options = list(h = 240L, level = 80)
)

case(
  "arima-drift",
  fit = function() forecast::Arima(LakeHuron, order = c(2, 0, 0), include.drift = TRUE),
  rows = NULL,
  expect = list(response = arima_response(1000), interval = arima_interval(1000, 95)),
  options = list(h = 1000L)
)

case(
  "auto-arima-one-step",
  fit = function() forecast::auto.arima(WWWusage),
  rows = NULL,
  expect = list(response = arima_response(1), interval = arima_interval(1, 0.5)),
  options = list(h = 1L, level = 0.5)
)

case(
  "stats-arima",
  fit = function() stats::arima(USAccDeaths, order = c(0, 1, 1), seasonal = list(order = c(0, 1, 1))),
  rows = NULL,
  expect = list(
    response = function(model, rows) as.vector(predict(model, n.ahead = 200)$pred),
    interval = function(model, rows) {
      found <- predict(model, n.ahead = 200)
      width <- qnorm(0.5 * (1 + 99 / 100)) * found$se
      cbind(fit = as.vector(found$pred), lower = as.vector(found$pred - width), upper = as.vector(found$pred + width))
    }
  ),
  options = list(h = 200L, level = 99)
)

# With regressors the rows are the steps ahead. A single row is the first step, whichever it was among the others.
case(
  "arima-regressors",
  fit = function() {
    forecast::Arima(log(Seatbelts[, "drivers"]), order = c(1, 0, 0), xreg = Seatbelts[, c("PetrolPrice", "law")])
  },
  rows = function() data.frame(PetrolPrice = seq(0.05, 0.2, length.out = 240), law = rep(0:1, each = 120)),
  expect = list(
    response = function(model, rows) as.vector(forecast::forecast(model, xreg = as.matrix(rows))$mean),
    interval = function(model, rows) {
      found <- forecast::forecast(model, xreg = as.matrix(rows), level = 80)
      cbind(fit = as.vector(found$mean), lower = as.vector(found$lower), upper = as.vector(found$upper))
    }
  ),
  options = list(level = 80)
)
