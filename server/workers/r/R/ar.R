# stats::ar. What is asked for is a number of steps ahead. predict() goes on from the series that the model was fitted
# to, which it looks for by its name: the model keeps only the name. Package forecast takes it from the model's `x`.

make_ready.ar <- function(model, packages) {
  if (is.null(model[["x"]])) model[["x"]] <- named_series(model)
  if (is.null(model[["x"]])) {
    stop(tandem_condition("predict_fails", sprintf(paste(
      "predict() goes on from the series `%s`, which an ar model does not keep; put it into the model before you save",
      "it: model$x <- %s; saveRDS(model, file)"
    ), model$series, model$series)))
  }
  make_ready.default(model, packages)
}

# The series itself, if the name is of one that comes with R and that the model was surely fitted to.
named_series <- function(model) {
  series <- tryCatch(eval(str2lang(model$series), list(), as.environment("package:datasets")), error = function(e) NULL)
  if (is.numeric(series) && isTRUE(all.equal(residuals_of_ar(model, series), as.vector(model$resid)))) series
}

residuals_of_ar <- function(model, series) {
  if (NCOL(series) != 1L || length(series) != length(model$resid)) return(NULL)
  intercept <- if (is.null(model$x.intercept)) 0 else model$x.intercept
  lagged <- stats::embed(as.vector(series) - model$x.mean, model$order + 1L)
  c(rep(NA_real_, model$order), as.vector(lagged %*% c(1, -as.vector(model$ar))) - intercept)
}

takes_horizon.ar <- function(model) TRUE

# predict() has no standard errors for several series.
output_names.ar <- function(model) c("response", if (NCOL(model[["x"]]) == 1L) "interval")

predict_options.ar <- function(model) {
  options <- forecast_options(period = model$frequency)
  if (NCOL(model[["x"]]) == 1L) options else options["h"]
}

predict_rows.ar <- function(model, newdata, output, arguments) {
  steps <- predict(model, newdata = model[["x"]], n.ahead = nrow(newdata), se.fit = output != "response")
  if (output != "response") return(normal_interval(steps, arguments$level))
  if (NCOL(steps) == 1L) as.vector(steps) else matrix(steps, nrow(newdata), dimnames = list(NULL, colnames(steps)))
}
