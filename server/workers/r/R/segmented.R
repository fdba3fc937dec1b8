# segmented's models of an lm or a glm. What the package makes of a column for its break points is no input.

model_package.segmented <- function(model) "segmented"

describe_inputs.segmented <- function(model) {
  terms <- stats::delete.response(model$terms)
  made <- c(unlist(model$nameUV[c("U", "V")]), unlist(lapply(model$indexU, names)))
  variables <- Filter(function(variable) !expression_label(variable) %in% made, as.list(attr(terms, "variables")))
  attr(terms, "variables") <- as.call(unique(c(variables, lapply(model$nameUV$Z, as.name))))
  inputs_from_terms(terms, frame = model$model, xlevels = model$xlevels, offset = offset_in_call(model$call))
}

output_names.segmented <- function(model) c("response", if (inherits(model, "glm")) "link")

predict_options.segmented <- function(model) list()

predict_rows.segmented <- function(model, newdata, output, arguments) {
  if (!inherits(model, "glm")) return(call_predict(model, newdata, arguments))
  call_predict(model, newdata, arguments, type = output)
}
