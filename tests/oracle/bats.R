# forecast's bats and tbats: no rows, but an option h.

bats_response <- function(h) function(model, rows) as.vector(forecast::forecast(model, h = h)$mean)

bats_interval <- function(h, level) {
  function(model, rows) {
    found <- forecast::forecast(model, h = h, level = level)
    cbind(fit = as.vector(found$mean), lower = as.vector(found$lower), upper = as.vector(found$upper))
  }
}

case(
  "tbats-seasonal",
  fit = function() forecast::tbats(USAccDeaths, use.parallel = FALSE),
  rows = NULL,
  expect = list(response = bats_response(200), interval = bats_interval(200, 80)),
  options = list(h = 200L, level = 80)
)

case(
  "bats-box-cox",
  fit = function() forecast::bats(WWWusage, use.box.cox = TRUE, use.parallel = FALSE),
  rows = NULL,
  expect = list(response = bats_response(20), interval = bats_interval(20, 95)),
  options = list(h = 20L)
)
