# MASS::rlm, with the outputs and options of lm. predict.rlm needs the model matrix.

model_package.rlm <- function(model) "MASS"

describe_inputs.rlm <- function(model) {
  if (is.null(model$terms)) {
    stop(tandem_condition("no_schema", "predict() needs a formula; fit the rlm with one instead of x and y"))
  }
  if (is.null(model[["x"]])) {
    stop(tandem_condition("no_schema", "predict() needs the model matrix; fit the rlm with x.ret = TRUE"))
  }
  inputs_from_terms(model$terms, frame = kept_rows(model), xlevels = model$xlevels)
}

output_names.rlm <- function(model) {
  c("response", "se", "confidence", "prediction", if (has_terms(model)) "terms")
}

predict_options.rlm <- function(model) {
  list(level = list(type = "numeric", default = 0.95, minimum = 0, maximum = 1, values = NULL))
}
