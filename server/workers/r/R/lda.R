# MASS::lda. The scores are what predict() calls x: the linear discriminants. A missing value makes all of its row's
# answers NA.

model_package.lda <- function(model) "MASS"

describe_inputs.lda <- function(model) discriminant_inputs(model)

output_names.lda <- function(model) c("class", "prob", "scores")

predict_options.lda <- function(model) discriminant_options

predict_rows.lda <- function(model, newdata, output, arguments) {
  prediction <- without_drawing(call_predict(model, newdata, arguments))
  switch(output,
    class = factor(names(model$prior)[likeliest(prediction$posterior, names(model$prior))], levels = model$lev),
    prob = prediction$posterior,
    scores = prediction$x
  )
}

# Neither lda nor qda keeps rows, so the means of the groups stand for them. Columns of a matrix that had no names are
# called 1, 2, ...
discriminant_inputs <- function(model) {
  names <- colnames(model$means)
  means <- stats::setNames(lapply(seq_along(names), function(j) unname(model$means[, j])), names)
  if (is.null(model$terms)) return(inputs_from_names(names, split_points = means))
  inputs_from_terms(model$terms, xlevels = model$xlevels, split_points = means)
}

discriminant_options <- list(
  method = list(
    type = "string", default = "plug-in", minimum = NULL, maximum = NULL,
    values = c("plug-in", "predictive", "debiased")
  )
)
