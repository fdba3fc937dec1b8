# MASS::qda. Inputs and options are those of lda. A missing value makes all of its row's answers NA.

model_package.qda <- function(model) "MASS"

describe_inputs.qda <- function(model) discriminant_inputs(model)

output_names.qda <- function(model) c("class", "prob")

predict_options.qda <- function(model) discriminant_options

predict_rows.qda <- function(model, newdata, output, arguments) {
  prob <- without_drawing(call_predict(model, newdata, arguments))$posterior
  if (output == "prob") prob else likeliest(prob, model$lev)
}
