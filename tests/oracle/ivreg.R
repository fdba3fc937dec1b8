# Instrumental variables of AER: a factor among the instruments, transformed terms.

ivreg_rows <- function() {
  rows <- datasets::mtcars[rep(1:32, 7), c("wt", "hp", "cyl")]
  rows$wt[1:3] <- c(NA, 100, 0.1)
  rows
}

case(
  "ivreg-cars",
  fit = function() {
    library(AER)
    ivreg(mpg ~ wt | hp, data = datasets::mtcars)
  },
  rows = function() ivreg_rows()[c("wt", "hp")],
  expect = list(response = function(model, rows) predict(model, rows))
)

case(
  "ivreg-instruments",
  fit = function() AER::ivreg(log(mpg) ~ log(wt) + factor(cyl) | hp + factor(cyl) + I(hp^2), data = datasets::mtcars),
  rows = ivreg_rows,
  expect = list(response = function(model, rows) predict(model, rows))
)
