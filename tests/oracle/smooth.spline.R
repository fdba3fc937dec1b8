# The curve and its derivatives, inside of the data and beyond.

spline_rows <- function() {
  set.seed(7)
  data.frame(x = c(4, 25, 3.999999, 25.000001, 0, -1e6, 1e6, 1e300, -1e-300, runif(241, 0, 30)))
}

spline_curve <- function(deriv) function(model, rows) predict(model, rows$x, deriv = deriv)$y

case("spline-cars", function() smooth.spline(cars$speed, cars$dist), spline_rows, list(
  response = function(model, rows) predict(model, rows$x)$y
))

case("spline-infinite", function() smooth.spline(cars, df = 5, keep.data = FALSE), function() {
  data.frame(x = c(Inf, -Inf, spline_rows()$x))
}, list(response = spline_curve(0)))

case("spline-slope", function() {
  smooth.spline(mtcars$wt, mtcars$mpg, w = mtcars$hp, lambda = 0.01, all.knots = TRUE)
}, spline_rows, list(response = spline_curve(1)), options = list(deriv = 1))

case("spline-third", function() smooth.spline(cars, spar = 0.5), spline_rows, list(
  response = spline_curve(3)
), options = list(deriv = 3))
