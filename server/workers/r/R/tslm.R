# forecast::tslm. What is asked for is a number of steps ahead; a model with other regressors than `trend` and `season`,
# which forecast() counts by itself, takes rows instead: their values at each step ahead, in order of time.

model_package.tslm <- function(model) "forecast"

takes_horizon.tslm <- function(model) length(describe_inputs(model)$inputs) == 0L

describe_inputs.tslm <- function(model) {
  fourier <- fourier_terms(model)
  terms <- stats::delete.response(stats::terms(model))
  found <- inputs_from_terms(without_terms(terms, c("trend", "season", names(fourier))), model$model, model$xlevels)
  more <- inputs_from_names(unlist(fourier, use.names = FALSE))
  list(inputs = c(found$inputs, more$inputs), values = c(found$values, more$values))
}

# The columns of each fourier(y, K), by its label: what forecast() wants of it is fourier(y, K, h), not `y`.
fourier_terms <- function(model) {
  is_fourier <- function(column) is.matrix(column) && all(grepl("^[SC][0-9.]+-[0-9.]+$", colnames(column)))
  lapply(Filter(is_fourier, model$model), colnames)
}

# The variables of a formula, without some of them.
without_terms <- function(terms, labels) {
  variables <- as.list(attr(terms, "variables"))[-1L]
  keep <- !vapply(variables, expression_label, "") %in% labels
  attr(terms, "variables") <- as.call(c(quote(list), variables[keep]))
  terms
}

output_names.tslm <- function(model) c("response", "interval")

predict_options.tslm <- function(model) {
  options <- forecast_options(period = stats::frequency(model$x))
  if (takes_horizon(model)) options else options["level"]
}

predict_rows.tslm <- function(model, newdata, output, arguments) {
  if (ncol(newdata) == 0L) arguments$h <- nrow(newdata) else arguments$newdata <- newdata
  forecast_steps(model, output, arguments)
}
