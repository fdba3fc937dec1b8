# Inputs read from a data frame, one per column, whether it has rows or not: a prototype, or rows kept with a model.

inputs_from_frame <- function(frame) {
  fields <- Map(column_field, names(frame), frame)
  list(
    inputs = unname(lapply(fields, `[[`, "input")),
    values = lapply(fields, `[[`, "values")
  )
}

column_field <- function(name, column) {
  if (is.factor(column)) {
    type <- if (is.ordered(column)) "ordered" else "factor"
    return(field(name, type, levels = levels(column), values = as.integer(column)))
  }
  if (is_time(column)) return(time_field(name, column))
  if (is.object(column) || !is.null(dim(column))) stop(untakeable(name, class(column)[1L]))
  switch(typeof(column),
    double = field(name, "numeric", values = column),
    integer = field(name, "integer", values = column),
    logical = field(name, "logical", values = column),
    character = field(name, "string", values = column),
    stop(untakeable(name, typeof(column)))
  )
}

time_field <- function(name, column) {
  if (inherits(column, "Date")) return(field(name, "date", values = as.double(column)))
  column <- as.POSIXct(column)
  field(name, "datetime", values = as.double(column), tz = zone_of(column))
}

untakeable <- function(name, class) {
  tandem_condition("no_schema", paste0(
    "input '", name, "' is of a type (", class, ") that Tandem cannot take; fit the model with a numeric, logical, ",
    "character, factor, Date or POSIXct column instead, or state the input's type in the sidecar"
  ))
}
