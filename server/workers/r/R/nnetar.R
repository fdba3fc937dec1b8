# forecast::nnetar. What is asked for is a number of steps ahead. A model with regressors takes rows instead: their
# values at each step ahead, in order of time. There is no interval: forecast() has none unless it is told to simulate.

model_package.nnetar <- function(model) "forecast"

takes_horizon.nnetar <- function(model) is.null(model$xreg)

describe_inputs.nnetar <- function(model) {
  xreg <- as.data.frame(unclass(model$xreg))
  if (is.null(colnames(model$xreg))) names(xreg) <- sub("^V", "xreg", names(xreg))
  known <- inputs_from_frame(sample_frame(xreg))
  list(inputs = inputs_from_names(names(xreg))$inputs, values = lapply(known$values, as.double))
}

predict_options.nnetar <- function(model) if (takes_horizon(model)) forecast_options(period = model$m)["h"] else list()

predict_rows.nnetar <- function(model, newdata, output, arguments) {
  if (takes_horizon(model)) {
    arguments$h <- nrow(newdata)
  } else {
    arguments$xreg <- matrix(unlist(newdata), nrow(newdata), dimnames = list(NULL, colnames(model$xreg)))
  }
  forecast_steps(model, output, arguments)
}
