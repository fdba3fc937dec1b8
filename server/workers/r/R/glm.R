# stats::glm, all families. Inputs are those of lm.

output_names.glm <- function(model) c("response", "link")

predict_rows.glm <- function(model, newdata, output, arguments) {
  call_predict(model, newdata, arguments, type = output)
}
