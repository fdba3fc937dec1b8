# earth::earth. A model with glm = list(...) answers on the scale of that glm. A missing value gives NA.

model_package.earth <- function(model) "earth"

describe_inputs.earth <- function(model) {
  points <- earth_cuts(model)
  if (!is.null(model$terms)) {
    return(inputs_from_terms(model$terms, xlevels = model$xlevels, split_points = points))
  }
  # Made from x and y: it keeps no levels, and a factor's columns are named after them.
  names <- rownames(model$modvars)
  if (!identical(names, colnames(model$modvars))) {
    stop(tandem_condition("no_schema", paste(
      "the earth model was made from x and y and does not keep the levels of its factors; fit it with a formula, or",
      "state the inputs in the sidecar's schema"
    )))
  }
  inputs_from_names(names, split_points = points)
}

# The values at which the hinges stand, by column.
earth_cuts <- function(model) {
  at <- which(abs(model$dirs) == 1, arr.ind = TRUE)
  split(model$cuts[at], colnames(model$dirs)[at[, "col"]])
}

output_names.earth <- function(model) {
  c("response", if (length(model$levels) > 0L) "class", "link")
}

predict_rows.earth <- function(model, newdata, output, arguments) {
  if (output == "class") return(earth_class(model, newdata, arguments))
  call_predict(model, newdata, arguments, type = output)
}

# predict() cannot give a class if the response of a row is NA; here that row's class is NA.
earth_class <- function(model, newdata, arguments) {
  known <- rep(TRUE, nrow(newdata))
  if (anyNA(newdata)) known <- !is.na(rowSums(call_predict(model, newdata, arguments, type = "response")))
  class <- rep(model$levels[NA_integer_], nrow(newdata))
  if (any(known)) class[known] <- call_predict(model, newdata[known, , drop = FALSE], arguments, type = "class")
  if (is.character(class)) factor(class, model$levels) else class
}
