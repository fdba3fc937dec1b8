# forecast::bats, and tbats, whose models are of class bats too. What is asked for is a number of steps ahead.

model_package.bats <- function(model) "forecast"

takes_horizon.bats <- function(model) TRUE

output_names.bats <- function(model) c("response", "interval")

# A season need not be a whole number of steps: a year has 52.18 weeks.
predict_options.bats <- function(model) {
  forecast_options(period = max(stats::frequency(model$y), ceiling(as.double(model$seasonal.periods))))
}

predict_rows.bats <- function(model, newdata, output, arguments) {
  arguments$h <- nrow(newdata)
  forecast_steps(model, output, arguments)
}
