# pls::plsr and pcr. Without `ncomp` there is a column per number of components, as predict() does. A missing value
# gives NA.

model_package.mvr <- function(model) "pls"

# Spectra are one matrix in the data frame: its columns are then the inputs.
describe_inputs.mvr <- function(model) {
  terms <- stats::delete.response(model$terms)
  if (takes_matrix(terms)) return(matrix_inputs(model))
  classes <- attr(terms, "dataClasses")
  refuse_changed_matrix(terms, classes)
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

# log(NIR) or msc(NIR) of a matrix: poly() and the like make one of a column.
refuse_changed_matrix <- function(terms, classes) {
  for (variable in as.list(attr(terms, "variables"))[-1L]) {
    label <- expression_label(variable)
    if (is.symbol(variable) || !startsWith(classes[[label]], "nmatrix.")) next
    if (utils::tail(as.character(variable[[1L]]), 1L) %in% c("poly", "ns", "bs", "scale")) next
    stop(tandem_condition("no_schema", paste0(
      "the formula changes a matrix in ", label, ", which rows cannot carry; put the changed matrix into the data and ",
      "fit the model with its bare name"
    )))
  }
}

matrix_inputs <- function(model) {
  names <- rownames(model$coefficients)
  rows <- model$model[[2L]]
  if (is.null(rows)) return(inputs_from_names(names))
  points <- lapply(seq_along(names), function(j) as.double(utils::head(rows, 50L)[, j]))
  inputs_from_names(names, split_points = stats::setNames(points, names))
}

output_names.mvr <- function(model) {
  if (is.null(dimnames(model$coefficients))) {
    stop(tandem_condition("no_schema", "predict() cannot read a stripped model; fit it with stripped = FALSE"))
  }
  "response"
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
