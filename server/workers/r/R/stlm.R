# forecast::stlm: a season taken out by stl(), and a model of the rest. What is asked for is a number of steps ahead.

model_package.stlm <- function(model) "forecast"

takes_horizon.stlm <- function(model) {
  if (is.null(model$model$xreg)) return(TRUE)
  stop(tandem_condition("no_schema", paste(
    "an stlm with regressors is not taken; fit forecast::Arima() with xreg and the season as Fourier terms instead"
  )))
}

output_names.stlm <- function(model) c("response", "interval")

predict_options.stlm <- function(model) forecast_options(period = model$m, longest = 1000L)

predict_rows.stlm <- function(model, newdata, output, arguments) {
  arguments$h <- nrow(newdata)
  forecast_steps(model, output, arguments)
}
