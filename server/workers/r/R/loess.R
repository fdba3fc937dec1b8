# stats::loess. Outside of the range of the data it answers NA, unless it was fitted with surface = "direct", and so it
# does for a missing value.

describe_inputs.loess <- function(model) {
  inputs_from_terms(model$terms, frame = data.frame(model$x, check.names = FALSE))
}

output_names.loess <- function(model) c("response", "se")

predict_rows.loess <- function(model, newdata, output, arguments) {
  if (output == "se") return(fit_and_se(call_predict(model, newdata, arguments, se = TRUE)))
  call_predict(model, newdata, arguments)
}
