# Networks of a series' own past: no rows, but an option h; with regressors the rows are the steps ahead.

case(
  "nnetar-lynx",
  fit = function() forecast::nnetar(lynx, lambda = 0.5, repeats = 5),
  rows = NULL,
  expect = list(response = function(model, rows) as.vector(forecast::forecast(model, h = 100)$mean)),
  options = list(h = 100L)
)

case(
  "nnetar-regressors",
  fit = function() {
    forecast::nnetar(log(Seatbelts[, "drivers"]), xreg = Seatbelts[, c("PetrolPrice", "law")], repeats = 3)
  },
  rows = function() data.frame(PetrolPrice = seq(0.05, 0.2, length.out = 240), law = rep(0:1, each = 120)),
  expect = list(response = function(model, rows) as.vector(forecast::forecast(model, xreg = as.matrix(rows))$mean))
)
