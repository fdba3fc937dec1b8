# Exponential smoothing: no rows, but an option h.

ets_response <- function(h) {
  function(model, rows) {
    set.seed(1)
    as.vector(forecast::forecast(model, h = h)$mean)
  }
}

ets_interval <- function(h, level) {
  function(model, rows) {
    set.seed(1)
    found <- forecast::forecast(model, h = h, level = level)
    cbind(fit = as.vector(found$mean), lower = as.vector(found$lower), upper = as.vector(found$upper))
  }
}

case(
  "ets-additive",
  fit = function() forecast::ets(USAccDeaths, model = "ANA"),
  rows = NULL,
  expect = list(response = ets_response(300), interval = ets_interval(300, 95)),
  options = list(h = 300L)
)

case(
  "ets-damped",
  fit = function() forecast::ets(AirPassengers, model = "MAM", damped = TRUE),
  rows = NULL,
  expect = list(response = ets_response(200), interval = ets_interval(200, 50)),
  options = list(h = 200L, level = 50)
)

# forecast() simulates this one's interval.
case(
  "ets-simulated",
  fit = function() forecast::ets(AirPassengers, model = "MMM"),
  rows = NULL,
  expect = list(response = ets_response(24), interval = ets_interval(24, 90)),
  options = list(h = 24L, level = 90)
)

case(
  "ets-box-cox",
  fit = function() forecast::ets(as.numeric(lynx), model = "AAN", lambda = 0.3, biasadj = TRUE),
  rows = NULL,
  expect = list(response = ets_response(1), interval = ets_interval(1, 99.99)),
  options = list(h = 1L, level = 99.99)
)
