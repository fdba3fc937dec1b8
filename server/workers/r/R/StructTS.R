# stats::StructTS. What is asked for is a number of steps ahead.

takes_horizon.StructTS <- function(model) TRUE

output_names.StructTS <- function(model) c("response", "interval")

predict_options.StructTS <- function(model) forecast_options(period = model$xtsp[3L])

predict_rows.StructTS <- function(model, newdata, output, arguments) {
  steps <- predict(model, n.ahead = nrow(newdata))
  if (output == "response") as.vector(steps$pred) else normal_interval(steps, arguments$level)
}
