# mlr's models, whatever learner they are of: features, and levels of factors, are kept by the model. What becomes of a
# missing value is for the learner to say.

model_package.WrappedModel <- function(model) "mlr"

make_ready.WrappedModel <- function(model, packages) {
  if (inherits(model, "FailureModel")) {
    stop(tandem_condition("not_a_model", paste(
      "the file holds a FailureModel of mlr: the learner failed when it was fitted, and all its predictions are NA;",
      "fit it again with mlr::configureMlr(on.learner.error = \"stop\"), which shows why"
    )))
  }
  for (package in setdiff(model$learner$package, "mlr")) load_package(sub("^[!_]", "", package))
  make_ready.default(model, packages)
}

describe_inputs.WrappedModel <- function(model) {
  if (isTRUE(model$task.desc$n.feat[["functionals"]] > 0)) {
    stop(tandem_condition("no_schema", paste(
      "the model takes curves, which are columns of matrices: Tandem cannot read from it how long they are; save a",
      "function of plain columns that makes them and calls predict():",
      as_function("predict(fit, newdata = ...)$data$response")
    )))
  }
  levels <- model$factor.levels[intersect(model$features, names(model$factor.levels))]
  terms <- stats::terms(~1)
  attr(terms, "variables") <- as.call(c(quote(list), lapply(model$features, as.name)))
  attr(terms, "dataClasses") <- classes_of_features(model, levels)
  inputs_from_terms(terms, xlevels = levels)
}

# The model does not say which of several factors are ordered.
classes_of_features <- function(model, levels) {
  ordered <- model$task.desc$n.feat[["ordered"]]
  if (ordered > 0 && ordered < length(levels)) {
    stop(tandem_condition("no_schema", sprintf(paste(
      "the model does not say which of its factors (%s) are ordered; state it in the sidecar, as",
      "{name: ..., type: ordered, levels: [...]}, or fit it with factors of one kind"
    ), paste(names(levels), collapse = ", "))))
  }
  classes <- stats::setNames(rep("numeric", length(model$features)), model$features)
  replace(classes, names(levels), if (ordered > 0) "ordered" else "factor")
}

output_names.WrappedModel <- function(model) {
  type <- model$learner$predict.type
  response <- if (model$task.desc$type %in% c("classif", "multilabel")) "class" else "response"
  c(response, if (type != "response") type)
}

# The columns are called response, or response.red for each label, prob.red, se; of one class alone just prob.
predict_rows.WrappedModel <- function(model, newdata, output, arguments) {
  found <- do.call(predict, c(list(quote(model), newdata = quote(newdata)), arguments))$data
  kind <- if (output %in% c("class", "response")) "response" else output
  if (kind %in% names(found)) return(found[[kind]])
  columns <- found[startsWith(names(found), paste0(kind, "."))]
  stats::setNames(columns, substring(names(columns), nchar(kind) + 2L))
}
