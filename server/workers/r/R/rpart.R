# rpart::rpart. Missing values are allowed: the tree goes on by surrogate splits.

model_package.rpart <- function(model) "rpart"

describe_inputs.rpart <- function(model) {
  inputs_from_terms(
    model$terms,
    frame = model$model,
    xlevels = attr(model, "xlevels"),
    split_points = rpart_split_points(model$splits)
  )
}

output_names.rpart <- function(model) {
  if (model$method == "class") c("class", "prob") else "response"
}

predict_rows.rpart <- function(model, newdata, output, arguments) {
  call_predict(model, newdata, arguments, type = if (output == "response") "vector" else output)
}

# A tree that is only its root has no table of splits.
rpart_split_points <- function(splits) {
  if (is.null(splits)) return(list())
  numeric <- splits[abs(splits[, "ncat"]) == 1, , drop = FALSE]
  split(unname(numeric[, "index"]), rownames(numeric))
}
