# One and two predictors, robust, interpolated and direct.

loess_response <- function(model, rows) predict(model, rows)
loess_se <- function(model, rows) {
  prediction <- predict(model, rows, se = TRUE)
  data.frame(fit = prediction$fit, se = prediction$se.fit)
}

loess_all <- list(response = loess_response, se = loess_se)

# The ends of the data, just inside and outside of them, and far away.
loess_speeds <- function() {
  ends <- c(4, 25, 4 - 1e-9, 4 + 1e-9, 25 - 1e-9, 25 + 1e-9, NA, -1e300, 1e300, 0)
  data.frame(speed = c(ends, seq(3, 26, length.out = 240)))
}

case("loess-cars", function() loess(dist ~ speed, cars), loess_speeds, loess_all)

case("loess-robust", function() {
  loess(dist ~ speed, cars, family = "symmetric", degree = 1, span = 0.5, weights = sqrt(speed), model = TRUE)
}, loess_speeds, loess_all)

case("loess-direct", function() {
  loess(dist ~ speed, cars, control = loess.control(surface = "direct"))
}, function() data.frame(speed = c(NA, 0, -10, 60, 1e3, seq(3, 26, length.out = 240))), loess_all)

case("loess-two", function() {
  loess(log(mpg) ~ wt + log(hp), mtcars, span = 0.9, parametric = "wt", drop.square = "wt")
}, function() {
  set.seed(6)
  rows <- data.frame(wt = runif(250, 1.3, 5.6), hp = round(runif(250, 40, 360)))
  rows$wt[1:3] <- NA
  rows$hp[3:6] <- NA
  rows
}, loess_all)
