# Structural time series: no rows, but an option h.

struct_response <- function(h) function(model, rows) as.vector(predict(model, n.ahead = h)$pred)

struct_interval <- function(h, level) {
  function(model, rows) {
    found <- predict(model, n.ahead = h)
    width <- qnorm(0.5 * (1 + level / 100)) * found$se
    cbind(fit = as.vector(found$pred), lower = as.vector(found$pred - width), upper = as.vector(found$pred + width))
  }
}

case(
  "struct-ts-seasonal",
  fit = function() StructTS(log10(UKgas), type = "BSM"),
  rows = NULL,
  expect = list(response = struct_response(200), interval = struct_interval(200, 80)),
  options = list(h = 200L, level = 80)
)

case(
  "struct-ts-level",
  fit = function() StructTS(Nile, type = "level"),
  rows = NULL,
  expect = list(response = struct_response(1), interval = struct_interval(1, 95)),
  options = list(h = 1L)
)
