# stats::lm, and aov, which predict() answers as an lm. A missing value gives NA, as predict.lm does. The standard
# errors and intervals are those of the mean, but for `prediction`, which is the interval of a new observation.

describe_inputs.lm <- function(model) {
  if (is.null(model$qr) && isTRUE(model$rank > 0L)) {
    stop(tandem_condition("no_schema", "predict() needs the model's QR decomposition; fit the lm with qr = TRUE"))
  }
  inputs_from_terms(model$terms, frame = kept_rows(model), xlevels = model$xlevels, offset = model$call$offset)
}

# The model frame, or with x = TRUE the model matrix: its columns of numbers are named as in the model frame. (`$` would
# take xlevels for x.)
kept_rows <- function(model) {
  if (is.null(model[["model"]]) && is.matrix(model[["x"]])) as.data.frame(model[["x"]]) else model[["model"]]
}

output_names.lm <- function(model) {
  c("response", if (isTRUE(model$rank > 0L)) c("se", "confidence", "prediction"), if (has_terms(model)) "terms")
}

predict_options.lm <- function(model) {
  list(level = list(type = "numeric", default = 0.95, minimum = 0, maximum = 1, values = NULL))
}

predict_rows.lm <- function(model, newdata, output, arguments) {
  switch(output,
    response = call_predict(model, newdata, without_level(arguments)),
    se = fit_and_se(call_predict(model, newdata, arguments, se.fit = TRUE)),
    terms = call_predict(model, newdata, arguments, type = "terms"),
    call_predict(model, newdata, arguments, interval = output)
  )
}

# Only an interval has a level, and without arguments predict() is called the shortest way.
without_level <- function(arguments) {
  if (is.null(arguments$interval)) arguments$level <- NULL
  arguments
}

fit_and_se <- function(prediction) cbind(fit = prediction$fit, se = prediction$se.fit)

# predict() centres the terms at the means of the rows that the model was fitted with. Without them it would look for
# the analyst's data frame by its name.
has_terms <- function(model) length(attr(model$terms, "term.labels")) > 0L && !is.null(kept_rows(model))
