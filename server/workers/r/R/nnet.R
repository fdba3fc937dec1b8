# nnet::nnet. With a formula a missing value gives NA, with x and y it is refused. Of two classes predict() gives the
# probability of the second only.

model_package.nnet <- function(model) "nnet"

describe_inputs.nnet <- function(model) {
  if (is.null(model$terms)) {
    stop(tandem_condition("no_schema", paste(
      "an nnet fitted with x and y does not keep the names of its columns; fit it with a formula, or state the inputs",
      "in the sidecar in the order of the columns of x"
    )))
  }
  inputs_from_terms(model$terms, frame = model$model, xlevels = model$xlevels)
}

output_names.nnet <- function(model) if (is.null(model$lev)) "response" else c("class", "prob")

predict_rows.nnet <- function(model, newdata, output, arguments) {
  raw <- call_predict(model, newdata, arguments, type = "raw")
  if (output == "class") class_of_raw(raw, model$lev) else raw
}

class_of_raw <- function(raw, levels) {
  if (NCOL(raw) > 1L) return(likeliest(raw, levels))
  structure(1L + (as.vector(raw) > 0.5), levels = levels, class = "factor")
}
