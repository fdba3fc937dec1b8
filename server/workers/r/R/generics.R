# What Tandem asks of a model class. A class is served by one file, named after it, with methods for these
# generics; whatever it leaves out is answered by the default below.

# Bound here so that a variable called `predict` in the global environment cannot stand in the way.
predict <- stats::predict

# The package whose predict method answers for the class, or NULL to let Tandem find it. State it so that a missing
# package can be named.
model_package <- function(model) UseMethod("model_package")

model_package.default <- function(model) NULL

# What a caller must send: list(inputs =, values =) as input_list() and inputs_from_terms() make it, or NULL.
describe_inputs <- function(model) UseMethod("describe_inputs", as_served(model))

describe_inputs.default <- function(model) {
  terms <- tryCatch(stats::terms(model), error = function(e) NULL)
  if (is.null(terms)) return(NULL)
  part <- function(name) {
    if (isS4(model)) return(if (methods::.hasSlot(model, name)) methods::slot(model, name))
    if (is.list(model) && is.null(dim(model))) .subset2(model, name)
  }
  frame <- part("model")
  xlevels <- part("xlevels")
  if (is_unknown_column(terms, c(names(xlevels), names(frame)))) return(NULL)
  inputs_from_terms(terms, frame = frame, xlevels = xlevels, offset = offset_in_call(part("call")))
}

# Whether a variable is neither among the known ones nor of a class that the terms tell: to take it for a number would
# be a guess, and of a class without a file here nothing says that it is a good one.
is_unknown_column <- function(terms, known) {
  variables <- as.list(attr(stats::delete.response(terms), "variables"))[-1L]
  symbols <- vapply(Filter(is.symbol, variables), as.character, "")
  length(setdiff(symbols, c(known, names(attr(terms, "dataClasses"))))) > 0L
}

offset_in_call <- function(call) if (is.call(call)) call$offset

# Names of the outputs a caller may ask for; the first is the default.
output_names <- function(model) UseMethod("output_names", as_served(model))

output_names.default <- function(model) outputs_of_types(predict_way(model)$types)

# Arguments of predict that a caller may set per request: a named list of
# list(type = "numeric", "integer", "string" or "logical", default =, minimum =, maximum =, values = allowed strings).
predict_options <- function(model) UseMethod("predict_options", as_served(model))

predict_options.default <- function(model) list()

# Whether the input is a number of steps ahead and not rows. Such a model has an option `h` and no inputs; `newdata` is
# then a data frame of h rows and no columns.
takes_horizon <- function(model) UseMethod("takes_horizon", as_served(model))

takes_horizon.default <- function(model) FALSE

# One prediction per row of `newdata`: a vector, a factor, or a matrix or data frame with a named column per value.
predict_rows <- function(model, newdata, output, arguments) UseMethod("predict_rows", as_served(model))

# A type that the sidecar sets stays as it is.
predict_rows.default <- function(model, newdata, output, arguments) {
  way <- predict_way(model)
  if (output %in% way$types && is.null(arguments$type)) arguments$type <- output
  if (is.null(way$rows)) return(call_predict(model, newdata, arguments))
  rows <- stats::setNames(list(quote(newdata)), way$rows)
  do.call(predict_of(model), c(list(quote(model)), rows, arguments))
}

# predict() with the class's own arguments (...) and those of the sidecar and the request. The symbols `model` and
# `newdata` go into the call, not their values: a method that keeps or prints its call would otherwise drag the whole
# model along.
call_predict <- function(model, newdata, arguments, ...) {
  if (length(arguments) == 0L && !isS4(model)) return(predict(model, newdata, ...))
  own <- list(...)
  taken <- names(arguments)[names(arguments) %in% c(names(own), "object", "newdata")]
  if (length(taken) > 0L) {
    stop("argument '", taken[1L], "' is already set by Tandem; take it out of the sidecar's arguments", call. = FALSE)
  }
  do.call(predict_of(model), c(list(quote(model), quote(newdata)), own, arguments))
}

# Packages such as kernlab define a predict of their own for S4 classes, which stats::predict does not reach.
predict_of <- function(model) {
  package <- attr(class(model), "package")
  if (!isS4(model) || is.null(package) || !isNamespaceLoaded(package)) return(predict)
  if ("predict" %in% getNamespaceExports(package)) getExportedValue(package, "predict") else predict
}
