# forecast's stlm, a season taken out and a model of the rest: no rows, but an option h.

case(
  "stlm-ets",
  fit = function() forecast::stlm(USAccDeaths),
  rows = NULL,
  expect = list(
    response = function(model, rows) as.vector(forecast::forecast(model, h = 60)$mean),
    interval = function(model, rows) {
      found <- forecast::forecast(model, h = 60, level = 80)
      cbind(fit = as.vector(found$mean), lower = as.vector(found$lower), upper = as.vector(found$upper))
    }
  ),
  options = list(h = 60L, level = 80)
)
