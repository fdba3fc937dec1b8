# What a model takes and gives, as plain lists for the other side of rpy2.

# `inputs` and `example` replace what the model says, if a sidecar states them. If it states `outputs`, no others are
# tried. `budget_s` is for trying those that are not the default.
describe_model <- function(
  model, arguments = list(), inputs = NULL, example = NULL, outputs = NULL, budget_s = 10
) {
  names <- outputs_with(model, arguments)
  if (!is.null(outputs)) names <- unique(c(names[1L], outputs))
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
    warnings = reading$warnings,
    options = known_options(model, arguments),
    outputs = NULL,
    default_output = names[1L],
    example = NULL,
    values = if (stated) values_that_fit(inputs, found) else found$values
  )
  if (is.null(inputs)) return(description)
  description["example"] <- list(if (is.null(example)) first_row(inputs, description$values) else example)
  scorer <- with_compiler(make_scorer(model, inputs, arguments))
  observed <- observe_outputs(scorer, description, names, budget_s)
  if (!stated) description$inputs <- try_missing(scorer, description)
  description$outputs <- observed$outputs
  description$warned <- observed$warned
  description$seconds <- observed$seconds
  description
}

# A description without the values known for each column, which serve to draw rows and nothing else.
without_values <- function(description) description[names(description) != "values"]

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

# Whether an input may be missing is what predict() does with a missing value: an error means no. What could not be
# asked in the time there is may not be missing.
try_missing <- function(scorer, description) {
  row <- draw_rows(description, 1L)
  bears <- function(positions) {
    asked <- row
    for (i in positions) asked[[i]] <- asked[[i]][NA_integer_]
    is.null(answer_error(scorer(asked, description$default_output)))
  }
  by_type <- order(vapply(description$inputs, `[[`, "", "type"))
  bearing <- seq_along(row) %in% may_miss(bears, if (length(row) > few_inputs) list(by_type) else seq_along(row))
  Map(function(input, na) replace(input, "na", na), description$inputs, bearing)
}

few_inputs <- 64L

# A few inputs are asked for one by one. Of many, all are asked for at once, and those that fail in halves: a call for
# each of 3,000 inputs would take minutes.
may_miss <- function(bears, groups, budget_s = 1.5) {
  spent <- stopwatch()
  found <- list()
  while (length(groups) > 0L && spent() < budget_s) {
    group <- groups[[1L]]
    groups <- groups[-1L]
    if (bears(group)) {
      found <- c(found, list(group))
    } else if (length(group) > 1L) {
      half <- seq_along(group) <= length(group) / 2
      groups <- c(groups, list(group[half], group[!half]))
    }
  }
  unlist(found)
}

# The shape of each output is what predict() gives for the example, so that arguments of a sidecar are heeded. What an
# output costs is known after its first call: one that cannot be proven within what is left of the budget is left out,
# but for the default. list(outputs =, seconds = what a call for each takes, warned = what the very first call warned
# of, since some warn but once).
observe_outputs <- function(scorer, description, names, budget_s = 10) {
  row <- draw_rows(description, 1L)
  rows <- if (description$horizon) description$options[["h"]]$default else 1L
  calls <- if (description$horizon) 1 else calls_to_prove$other
  outputs <- list()
  seconds <- numeric()
  for (name in names) {
    limit <- if (name == names[1L]) Inf else budget_s / calls
    spent <- stopwatch()
    outputs[[name]] <- if (limit > 0) observe_output(limit, first <- scorer(row, name, rows))
    seconds[[name]] <- spent()
    if (name == names[1L]) {
      warned <- answer_warnings(first)
      next
    }
    fits <- limit > 0 && seconds[[name]] <= limit
    if (!fits) outputs[[name]] <- left_out(seconds[[name]], budget_s)
    budget_s <- budget_s - seconds[[name]] * if (fits) calls else 1
  }
  list(outputs = outputs, seconds = seconds, warned = warned)
}

observe_output <- function(limit, reply) {
  tryCatch(
    describe_reply(cut_short(limit, reply)),
    error = function(e) list(type = "unknown", reason = conditionMessage(e))
  )
}

left_out <- function(seconds, budget_s) {
  cost <- if (budget_s > 0) sprintf("a row of it takes more than %.1f s", seconds) else "no time was left to try it"
  list(type = "unknown", reason = cost, left_out = TRUE)
}

describe_reply <- function(reply) {
  if (!is.null(answer_error(reply))) return(list(type = "unknown", reason = answer_error(reply)))
  if (!is.null(answer_levels(reply))) return(list(type = "label", levels = answer_levels(reply)))
  if (!is.null(answer_names(reply))) {
    kinds <- vapply(answer_value(reply), kind_of, "")
    return(list(type = "columns", columns = answer_names(reply), of = unique_or_all(kinds)))
  }
  list(type = kind_of(answer_value(reply)))
}

# One kind for all columns, or one for each.
unique_or_all <- function(kinds) if (length(unique(kinds)) == 1L) kinds[1L] else kinds

kind_of <- function(value) {
  switch(typeof(value), character = "string", logical = "logical", "number")
}
