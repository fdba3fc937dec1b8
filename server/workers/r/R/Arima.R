# forecast::Arima and auto.arima, and stats::arima. What is asked for is a number of steps ahead. A model with
# regressors takes rows instead: their values at each step ahead, in order of time.

model_package.Arima <- function(model) if (inherits(model, "forecast_ARIMA")) "forecast" else "stats"

takes_horizon.Arima <- function(model) length(regressors(model)) == 0L

describe_inputs.Arima <- function(model) {
  names <- regressors(model)
  known <- intersect(names, colnames(model$xreg))
  values <- lapply(stats::setNames(nm = known), function(name) as.double(model$xreg[, name]))
  found <- inputs_from_names(names)
  found$values[known] <- values
  found
}

# The regressors: those coefficients that stand behind those of the process itself.
regressors <- function(model) {
  beyond <- utils::tail(names(model$coef), length(model$coef) - sum(model$arma[1:4]))
  setdiff(beyond, c("intercept", "drift"))
}

output_names.Arima <- function(model) c("response", "interval")

predict_options.Arima <- function(model) {
  if (takes_horizon(model)) forecast_options(period = model$arma[5L]) else forecast_options(period = 1)["level"]
}

predict_rows.Arima <- function(model, newdata, output, arguments) {
  xreg <- if (!takes_horizon(model)) as.matrix(newdata)
  if (!inherits(model, "forecast_ARIMA")) return(steps_of_arima(model, nrow(newdata), xreg, output, arguments$level))
  arguments$h <- nrow(newdata)
  if (output == "response") arguments$level <- NULL
  if (!is.null(xreg)) arguments$xreg <- xreg
  steps_ahead(do.call(forecast::forecast, c(list(quote(model)), arguments)), output)
}

# The interval that forecast() makes of what predict() answers.
steps_of_arima <- function(model, h, xreg, output, level) {
  # predict() counts the columns of what was given as xreg, which is not in the file.
  if (!is.null(xreg)) model$call["xreg"] <- list(xreg)
  steps <- predict(model, n.ahead = h, newxreg = xreg)
  if (output == "response") as.vector(steps$pred) else normal_interval(steps, level)
}
