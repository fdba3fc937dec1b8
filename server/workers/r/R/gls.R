# nlme's gls. A missing value is refused.

model_package.gls <- function(model) "nlme"

describe_inputs.gls <- function(model) {
  classes <- attr(stats::delete.response(model$terms), "dataClasses")
  for (label in setdiff(names(classes)[classes == "character"], names(model$contrasts))) stop(levels_from_rows(label))
  inputs_from_terms(model$terms, xlevels = lapply(model$contrasts, rownames))
}

output_names.gls <- function(model) "response"

predict_rows.gls <- function(model, newdata, output, arguments) call_predict(model, newdata, arguments)
