# MASS::polr. A missing value makes all of its row's answers NA.

model_package.polr <- function(model) "MASS"

output_names.polr <- function(model) c("class", "prob")

predict_rows.polr <- function(model, newdata, output, arguments) {
  prob <- as_rows(call_predict(model, newdata, arguments, type = "probs"), length(model$lev))
  if (output == "prob") prob else likeliest(prob, model$lev)
}
