# What a refusal says of a model without a schema: the names of columns that the model itself holds.

# A list(name =, type =, levels =) for each column, or an empty list.
draft_inputs <- function(model) {
  found <- if (is.function(model)) columns_of_function(model) else lapply(known_columns(model), as_numeric_input)
  utils::head(found, 50L)
}

as_numeric_input <- function(name) list(name = enc2utf8(name), type = "numeric")

# Where models keep the names of their columns. The first that has any is taken.
known_columns <- function(model) {
  part <- function(name) tryCatch(model[[name]], error = function(e) NULL)
  places <- list(
    function() part("feature_names"), function() part("preproc")$x_var,
    function() part("xNames"), function() part("coefnames"),
    function() part("var.names"), function() rownames(part("importance")), function() colnames(part("x")),
    function() colnames(part("xmatrix")), function() names(part("xlevels")),
    function() all.vars(stats::formula(model)[[3L]]),
    function() colnames(part("data")), function() rownames(part("beta")), function() names(stats::coef(model))
  )
  for (place in places) {
    names <- tryCatch(setdiff(place(), c("", "(Intercept)", NA)), error = function(e) NULL)
    if (is.character(names) && length(names) > 0L) return(names)
  }
  character()
}

# The columns that the models which a function keeps would take, and those that its own body names.
columns_of_function <- function(f) {
  home <- environment(f)
  kept <- if (!is.null(home) && !identical(home, globalenv()) && !isNamespace(home)) mget(ls(home), envir = home)
  described <- lapply(kept, function(part) tryCatch(describe_inputs(part)$inputs, error = function(e) NULL))
  inputs <- unlist(unname(described), recursive = FALSE)
  named <- lapply(columns_named(body(f), names(formals(f))[1L]), as_numeric_input)
  inputs <- c(inputs, named)
  inputs[!duplicated(vapply(inputs, `[[`, "", "name"))]
}

# Columns are named as df$age and df[["age"]], where `df` is the argument.
columns_named <- function(expression, argument) {
  if (!is.call(expression)) return(NULL)
  taken <- as.character(expression[[1L]])[1L] %in% c("$", "[[") && identical(expression[[2L]], as.name(argument))
  last <- if (taken) expression[[3L]]
  if (is.symbol(last) || is.character(last)) return(as.character(last))
  unlist(lapply(as.list(expression)[-1L], columns_named, argument = argument))
}
