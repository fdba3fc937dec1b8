# Autoregression: no rows, but an option h. predict() goes on from the series, which the model must keep or R have.

ar_steps <- function(model, h) if (is.null(model[["x"]])) predict(model, n.ahead = h) else predict(model, model$x, h)

ar_response <- function(h) function(model, rows) as.vector(ar_steps(model, h)$pred)

ar_interval <- function(h, level) {
  function(model, rows) {
    found <- ar_steps(model, h)
    width <- qnorm(0.5 * (1 + level / 100)) * found$se
    cbind(fit = as.vector(found$pred), lower = as.vector(found$pred - width), upper = as.vector(found$pred + width))
  }
}

case(
  "ar-of-kept-series",
  fit = function() {
    series <- log(lynx)
    model <- ar(series)
    model$x <- series
    model
  },
  rows = NULL,
  expect = list(response = ar_response(200), interval = ar_interval(200, 80)),
  options = list(h = 200L, level = 80)
)

case(
  "ar-of-series-of-r",
  fit = function() ar(lh, method = "mle"),
  rows = NULL,
  expect = list(response = ar_response(50), interval = ar_interval(50, 95)),
  options = list(h = 50L)
)

case(
  "ar-several-series",
  fit = function() {
    series <- ts.union(lead = BJsales.lead, sales = BJsales - 150)
    model <- ar(series)
    model$x <- series
    model
  },
  rows = NULL,
  expect = list(response = function(model, rows) {
    steps <- predict(model, model$x, n.ahead = 200, se.fit = FALSE)
    matrix(steps, nrow(steps), dimnames = list(NULL, colnames(steps)))
  }),
  options = list(h = 200L)
)
