# ivreg of AER, and of the package ivreg. predict() takes the instruments along. A missing value gives NA.

# Both packages have a predict method for the class: the one that is loaded or installed answers.
model_package.ivreg <- function(model) {
  loaded <- Filter(isNamespaceLoaded, c("ivreg", "AER"))
  installed <- Filter(function(package) nzchar(system.file(package = package)), c("ivreg", "AER"))
  c(loaded, installed, "AER")[1L]
}

make_ready.ivreg <- function(model, packages) {
  model <- make_ready.default(model, packages)
  model$terms <- lapply(model$terms, function(terms) supply_functions(list(terms = terms), packages)$terms)
  model
}

describe_inputs.ivreg <- function(model) {
  terms <- model$terms$full
  inputs_from_terms(terms, frame = model$model, xlevels = model$levels, offset = offset_in_call(model$call))
}

output_names.ivreg <- function(model) "response"

predict_rows.ivreg <- function(model, newdata, output, arguments) call_predict(model, newdata, arguments)
