# What stands between a model's classes and the files here: which of the classes Tandem serves, and how predict() of a
# class without a file is called.

asked_of_a_class <- c("describe_inputs", "output_names", "predict_options", "takes_horizon", "predict_rows")

# What was found for each vector of classes. It holds as long as the packages that it depends on are loaded.
known_classes <- new.env(parent = emptyenv())
known_ways <- new.env(parent = emptyenv())

# What the generics dispatch on: the model, or something with only the first of its classes. A class with a predict
# method of its own is not what it inherits from: where another package answers predict() than that of the first class
# with a file here, that class's outputs and arguments say nothing of the model.
as_served <- function(model) {
  classes <- class(model)
  if (length(classes) == 1L || isS4(model)) return(model)
  key <- paste(classes, collapse = "\r")
  served <- known_classes[[key]]
  if (is.null(served)) {
    served <- served_classes(model, classes)
    if (!is.null(answering_class(classes))) assign(key, served, envir = known_classes)
  }
  if (length(served) == length(classes)) model else structure(list(), class = served)
}

served_classes <- function(model, classes) {
  known <- which(vapply(classes, has_file, NA))[1L]
  answering <- answering_class(classes)
  if (is.na(known) || is.null(answering) || answering >= known) return(classes)
  home <- package_of_class(model, classes[known])
  answers <- environmentName(topenv(environment(predict_method(classes[answering]))))
  if (is.null(home) || home == answers) return(classes)
  classes[seq_len(known - 1L)]
}

has_file <- function(class) {
  methods <- paste(asked_of_a_class, class, sep = ".")
  any(vapply(methods, exists, NA, envir = environment(has_file), mode = "function", inherits = FALSE))
}

# The first of the classes with a predict method that is loaded, as its number.
answering_class <- function(classes) {
  for (k in seq_along(classes)) if (!is.null(predict_method(classes[k]))) return(k)
}

predict_method <- function(class) utils::getS3method("predict", class, optional = TRUE, envir = globalenv())

# How predict() of a class without a file is called: list(rows = the name of the argument that takes them, or NULL where
# it is the second, types = what its argument `type` may be, as far as that is told, the default first).
predict_way <- function(model) {
  classes <- class(model)
  key <- paste(classes, collapse = "\r")
  way <- known_ways[[key]]
  if (!is.null(way)) return(way)
  method <- method_of(model)
  if (is.null(method)) return(list())
  way <- list(rows = rows_argument(names(formals(method))), types = types_of(method))
  assign(key, way, envir = known_ways)
  way
}

method_of <- function(model) {
  if (isS4(model)) return(s4_method_of(model))
  answering <- answering_class(class(model))
  if (!is.null(answering)) predict_method(class(model)[answering])
}

# A method whose arguments are not those of the generic stands within it as .local().
s4_method_of <- function(model) {
  method <- tryCatch(methods::selectMethod("predict", class(model)), error = function(e) NULL)
  if (methods::is(method, "MethodDefinition")) method <- method@.Data
  local <- function(part) is.call(part) && length(part) > 2L && identical(part[[2L]], quote(.local))
  inner <- if (is.function(method)) Find(local, as.list(body(method)))
  if (is.null(inner)) called_by(method) else eval(inner[[3L]], baseenv())
}

# VGAM's methods do no more than to call another function with all that they are given.
called_by <- function(method) {
  call <- if (is.function(method)) body(method)
  handed <- is.call(call) && is.symbol(call[[1L]]) && identical(as.list(call)[-1L], list(quote(object), quote(...)))
  if (handed) get0(as.character(call[[1L]]), environment(method), mode = "function", ifnotfound = method) else method
}

rows_argument <- function(arguments) {
  found <- intersect(c("newdata", "new_data"), arguments)
  if (length(found) > 0L && !identical(arguments[2L], found[1L])) found[1L]
}

# Of a method that names one type, the default, others are seen in what it compares the type with. Types of which none
# is known say nothing: the output is then what predict() answers by itself.
types_of <- function(method) {
  types <- tryCatch(eval(formals(method)$type, baseenv()), error = function(e) NULL)
  if (is.character(types) && length(types) == 1L) types <- unique(c(types, texts_in(body(method))))
  if (is.character(types) && any(c(telling_types, linear_types) %in% types)) types
}

texts_in <- function(expression) {
  if (is.character(expression)) return(expression)
  if (is.call(expression)) unlist(lapply(as.list(expression), texts_in))
}

# Types that give each row what a caller may want, in most packages under these names.
telling_types <- c("response", "link", "class", "prob", "probs", "probability", "lp", "risk")

# Types that are not the response, whatever is the default.
linear_types <- c("link", "lp", "linear", "linear.predictor", "linear.predictors", "eta")

# The method's default goes first, unless it is on the scale of the link where the response can be had. What does not
# answer the example is left out later.
outputs_of_types <- function(types) {
  if (is.null(types)) return("response")
  first <- if (types[1L] %in% linear_types && "response" %in% types) "response" else types[1L]
  unique(c(first, intersect(telling_types, types)))
}

# A sidecar that sets the type says what the response is; of a linear predictor it cannot say so.
outputs_with <- function(model, arguments) {
  type <- arguments$type
  own <- any(vapply(class(as_served(model)), function(class) {
    exists(paste0("predict_rows.", class), envir = environment(outputs_with), mode = "function", inherits = FALSE)
  }, NA))
  if (!is.character(type) || own) return(output_names(model))
  if (type[1L] %in% linear_types) type[1L] else "response"
}
