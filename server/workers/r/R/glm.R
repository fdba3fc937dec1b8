# stats::glm, all families, and MASS::glm.nb. Inputs are those of lm. The standard errors are on the scale of the
# response.

output_names.glm <- function(model) {
  c("response", "link", if (isTRUE(model$rank > 0L)) "se", if (has_terms(model)) "terms")
}

predict_options.glm <- function(model) list()

predict_rows.glm <- function(model, newdata, output, arguments) {
  if (output == "se") return(fit_and_se(call_predict(model, newdata, arguments, type = "response", se.fit = TRUE)))
  call_predict(model, newdata, arguments, type = output)
}
