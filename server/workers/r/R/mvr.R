# pls::plsr and pcr. Without `ncomp` there is a column per number of components, as predict() does. A missing value
# gives NA.

model_package.mvr <- function(model) "pls"

# Spectra are one matrix in the data frame: its columns are then the inputs.
describe_inputs.mvr <- function(model) {
  terms <- stats::delete.response(model$terms)
  if (takes_matrix(terms)) return(matrix_inputs(model))
  classes <- attr(terms, "dataClasses")
  grouped <- names(classes)[classes %in% c("factor", "ordered", "character")]
  if (length(grouped) > 0L && is.null(model$model)) {
    stop(tandem_condition("no_schema", paste0(
      "the model does not keep the levels of '", grouped[1L], "'; fit it with model = TRUE, or state the inputs in ",
      "the sidecar's schema"
    )))
  }
  # Text is taken as a factor: predict() would make one that has no more levels than the rows at hand.
  attr(terms, "dataClasses")[classes == "character"] <- "factor"
  xlevels <- lapply(model$model[grouped], function(column) levels(as.factor(column)))
  inputs_from_terms(terms, frame = model$model, xlevels = xlevels)
}

matrix_inputs <- function(model) {
  names <- rownames(model$coefficients)
  rows <- model$model[[2L]]
  if (is.null(rows)) return(inputs_from_names(names))
  points <- lapply(seq_along(names), function(j) as.double(utils::head(rows, 50L)[, j]))
  inputs_from_names(names, split_points = stats::setNames(points, names))
}

predict_options.mvr <- function(model) {
  list(ncomp = list(type = "integer", default = NULL, minimum = 1L, maximum = model$ncomp, values = NULL))
}

predict_rows.mvr <- function(model, newdata, output, arguments) {
  if (takes_matrix(stats::delete.response(model$terms))) newdata <- as.matrix(newdata)
  call_predict(model, newdata, arguments, type = "response")
}

takes_matrix <- function(terms) {
  variables <- as.list(attr(terms, "variables"))[-1L]
  if (length(variables) != 1L || !is.symbol(variables[[1L]])) return(FALSE)
  startsWith(attr(terms, "dataClasses")[[as.character(variables[[1L]])]], "nmatrix.")
}
