# Linear models of trend and season: no rows, but an option h; with other regressors the rows are the steps ahead.

tslm_columns <- function(found) {
  cbind(fit = as.vector(found$mean), lower = as.vector(found$lower), upper = as.vector(found$upper))
}

case(
  "tslm-season",
  fit = function() forecast::tslm(AirPassengers ~ trend + season, lambda = 0, biasadj = TRUE),
  rows = NULL,
  expect = list(
    response = function(model, rows) as.vector(forecast::forecast(model, h = 200)$mean),
    interval = function(model, rows) tslm_columns(forecast::forecast(model, h = 200, level = 80))
  ),
  options = list(h = 200L, level = 80)
)

case(
  "tslm-regressors",
  fit = function() forecast::tslm(drivers ~ trend + season + PetrolPrice + law, data = Seatbelts),
  rows = function() data.frame(PetrolPrice = seq(0.05, 0.2, length.out = 240), law = rep(0:1, each = 120)),
  expect = list(
    response = function(model, rows) as.vector(forecast::forecast(model, newdata = rows)$mean),
    interval = function(model, rows) tslm_columns(forecast::forecast(model, newdata = rows, level = 80))
  ),
  options = list(level = 80)
)
