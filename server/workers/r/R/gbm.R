# gbm::gbm and gbm.fit. predict() goes on where a value is missing. It takes the number of trees that did best on the
# test part or in cross-validation, if there was one, else all. A variable's offset is not added, as in predict().

model_package.gbm <- function(model) "gbm"

# `var.levels` holds a factor's levels, and of a numeric variable the deciles.
describe_inputs.gbm <- function(model) {
  known <- stats::setNames(model$var.levels, model$var.names)
  levels <- Filter(is.character, known)
  points <- lapply(Filter(is.numeric, known), as.double)
  if (is.null(model$Terms)) return(inputs_from_names(model$var.names, levels, points))
  terms <- stats::terms(stats::reformulate(model$var.names))
  attr(terms, "dataClasses") <- attr(model$Terms, "dataClasses")
  inputs_from_terms(terms, xlevels = levels, split_points = points)
}

output_names.gbm <- function(model) c("response", "link")

predict_options.gbm <- function(model) {
  list(n.trees = list(
    type = "integer", default = best_trees(model), minimum = 1L, maximum = model$n.trees, values = NULL
  ))
}

# The number of trees, chosen as predict() chooses it.
best_trees <- function(model) {
  method <- if (model$train.fraction < 1) "test" else if (!is.null(model$cv.error)) "cv"
  if (is.null(method)) return(length(model$train.error))
  as.integer(gbm::gbm.perf(model, method = method, plot.it = FALSE))
}

predict_rows.gbm <- function(model, newdata, output, arguments) {
  call_predict(model, newdata, arguments, type = output)
}
