# stats::lm. A missing value gives NA, as predict.lm does.

describe_inputs.lm <- function(model) {
  inputs_from_terms(model$terms, frame = model$model, xlevels = model$xlevels, offset = model$call$offset)
}

output_names.lm <- function(model) "response"

predict_rows.lm <- function(model, newdata, output, arguments) call_predict(model, newdata, arguments)
