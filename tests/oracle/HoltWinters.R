# Exponential smoothing: no rows, but an option h.

holt_winters_response <- function(h) function(model, rows) as.vector(predict(model, n.ahead = h)[, "fit"])

holt_winters_interval <- function(h, level) {
  function(model, rows) {
    found <- predict(model, n.ahead = h, prediction.interval = TRUE, level = level / 100)
    cbind(fit = found[, "fit"], lower = found[, "lwr"], upper = found[, "upr"])
  }
}

case(
  "holt-winters-seasonal",
  fit = function() HoltWinters(AirPassengers, seasonal = "multiplicative"),
  rows = NULL,
  expect = list(response = holt_winters_response(240), interval = holt_winters_interval(240, 80)),
  options = list(h = 240L, level = 80)
)

case(
  "holt-winters-trend",
  fit = function() HoltWinters(uspop, gamma = FALSE),
  rows = NULL,
  expect = list(response = holt_winters_response(200), interval = holt_winters_interval(200, 95)),
  options = list(h = 200L)
)
