# stats::HoltWinters. What is asked for is a number of steps ahead.

takes_horizon.HoltWinters <- function(model) TRUE

output_names.HoltWinters <- function(model) c("response", "interval")

# The time that an interval takes grows with the square of the steps.
predict_options.HoltWinters <- function(model) {
  forecast_options(period = stats::frequency(model$x), longest = 1000L)
}

predict_rows.HoltWinters <- function(model, newdata, output, arguments) {
  h <- nrow(newdata)
  if (output == "response") return(as.vector(predict(model, n.ahead = h)[, "fit"]))
  steps <- predict(model, n.ahead = h, prediction.interval = TRUE, level = in_percent(arguments$level) / 100)
  cbind(fit = as.vector(steps[, "fit"]), lower = as.vector(steps[, "lwr"]), upper = as.vector(steps[, "upr"]))
}
