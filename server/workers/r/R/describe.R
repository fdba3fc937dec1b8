# What a model takes and gives, as plain lists for the other side of rpy2.

# `inputs` and `example` replace what the model says, if a sidecar states them.
describe_model <- function(model, arguments = list(), inputs = NULL, example = NULL) {
  names <- outputs_with(model, arguments)
  stated <- !is.null(inputs)
  horizon <- takes_horizon(model)
  found <- if (horizon) {
    list(inputs = list())
  } else if (stated) {
    tryCatch(describe_inputs(model), error = function(e) NULL)
  } else {
    describe_inputs(model)
  }
  if (!stated) inputs <- found$inputs
  package <- package_of(model)
  description <- list(
    class = as.vector(class(model)),
    package = package,
    package_version = if (!is.null(package)) as.character(utils::packageVersion(package)),
    horizon = horizon,
    inputs = inputs,
    options = known_options(model, arguments),
    outputs = NULL,
    default_output = names[1L],
    example = NULL,
    values = if (stated) values_that_fit(inputs, found) else found$values
  )
  if (is.null(inputs)) return(description)
  description["example"] <- list(if (is.null(example)) first_row(inputs, description$values) else example)
  scorer <- make_scorer(model, inputs, arguments)
  if (!stated) description$inputs <- try_missing(scorer, description)
  description$outputs <- observe_outputs(scorer, description, names)
  description
}

# A description without the values known for each column, which serve to draw rows and nothing else.
told <- function(description) description[names(description) != "values"]

# Values known for a column serve as long as the sidecar has not made it something else.
values_that_fit <- function(inputs, found) {
  alike <- function(a, b) {
    identical(a$name, b$name) && identical(a$type, b$type) && identical(as.character(a$levels), as.character(b$levels))
  }
  fit <- Filter(function(input) any(vapply(found$inputs, alike, NA, b = input)), inputs)
  found$values[vapply(fit, `[[`, "", "name")]
}

first_row <- function(inputs, values) {
  row <- lapply(inputs, function(input) as_label(input, pool_of(input, values)[1L]))
  stats::setNames(row, vapply(inputs, `[[`, "", "name"))
}

# Whether an input may be missing is what predict() does with a missing value: an error means no. Asking costs one
# prediction an input; a slow model is given two seconds, and what could not be asked is refused.
try_missing <- function(scorer, description) {
  row <- draw_rows(description, 1L)
  until <- proc.time()[["elapsed"]] + 2
  Map(function(input, position) {
    asked <- row
    asked[[position]] <- asked[[position]][NA_integer_]
    input$na <- proc.time()[["elapsed"]] < until && is.null(scorer(asked, description$default_output)[[5L]])
    input
  }, description$inputs, seq_along(row))
}

# The shape of each output is what predict() gives for the example, so that arguments of a sidecar are heeded.
observe_outputs <- function(scorer, description, names) {
  row <- draw_rows(description, 1L)
  rows <- if (description$horizon) description$options[["h"]]$default else 1L
  outputs <- lapply(names, function(name) describe_reply(scorer(row, name, rows)))
  stats::setNames(outputs, names)
}

describe_reply <- function(reply) {
  if (!is.null(reply[[5L]])) return(list(type = "unknown", reason = reply[[5L]]))
  if (!is.null(reply[[3L]])) return(list(type = "label", levels = reply[[3L]]))
  if (!is.null(reply[[2L]])) {
    return(list(type = "columns", columns = reply[[2L]], of = unique_or_all(vapply(reply[[1L]], kind_of, ""))))
  }
  list(type = kind_of(reply[[1L]]))
}

# One kind for all columns, or one for each.
unique_or_all <- function(kinds) if (length(unique(kinds)) == 1L) kinds[1L] else kinds

kind_of <- function(value) {
  switch(typeof(value), character = "string", logical = "logical", "number")
}
