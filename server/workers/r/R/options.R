# Arguments of predict(). Those of the sidecar hold for every request, those of a request for itself.

# predict_options() with every member present, and what the sidecar sets as the default.
known_options <- function(model, arguments) {
  options <- predict_options(model)
  known <- Map(function(option, name) {
    set <- as_vector(arguments[[name]])
    list(
      type = option$type,
      default = as_option(if (is.null(set)) option$default else set, option$type),
      minimum = option$minimum,
      maximum = option$maximum,
      values = option$values
    )
  }, options, names(options))
  stats::setNames(known, as.character(names(options)))
}

# The sidecar's arguments, and beside them the defaults of options.
all_arguments <- function(arguments, known) {
  arguments <- lapply(arguments, as_vector)
  for (name in names(known)) arguments[[name]] <- known[[name]]$default
  arguments
}

with_options <- function(arguments, options, known) {
  for (name in names(options)) arguments[[name]] <- as_option(as_vector(options[[name]]), known[[name]]$type)
  arguments
}

# Without a warning, since nobody listens yet: the other side has checked the value against the option's type.
# A whole number may arrive as an integer where predict() expects a double, or the other way round.
as_option <- function(value, type) {
  if (is.null(value) || is.null(type)) return(value)
  suppressWarnings(switch(type,
    numeric = as.double(value),
    integer = as.integer(value),
    logical = as.logical(value),
    as.character(value)
  ))
}
