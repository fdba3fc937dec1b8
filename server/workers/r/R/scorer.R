# The hot path: columns in, one prediction per row out. What depends on the model alone is done once, here.

# The places of a scorer's answer, an unnamed list: Python reads it by position (../embedded.py), R by these names.

# A vector, one element per row; or a list of such vectors if the output has several columns. NULL where it failed.
answer_value <- function(answer) answer[[1L]]

# The names of those columns, or NULL.
answer_names <- function(answer) answer[[2L]]

# The levels, of which the value then holds 1-based codes, or NULL.
answer_levels <- function(answer) answer[[3L]]

# The warnings, at most 20, none twice.
answer_warnings <- function(answer) answer[[4L]]

# The error's message, or NULL. A second element "input" says that the fault is with the rows: a level that predict()
# does not know; "memory", that an allocation failed.
answer_error <- function(answer) answer[[5L]]

# A function(columns, output, rows, options) that answers, without ever signalling an error, a list with these places.
# `columns` come in the order of `inputs`. `rows` is only needed for a model without inputs; for one that takes a
# horizon it is the horizon. `options` are those of predict_options() that the request sets: they go before the
# sidecar's arguments, and these before the options' defaults.
make_scorer <- function(model, inputs, arguments = list()) {
  as_frame <- frame_maker(inputs)
  force(model)
  known <- known_options(model, arguments)
  arguments <- all_arguments(arguments, known)
  score <- function(columns, output, rows = length(columns[[1L]]), options = NULL) {
    warned <- character()
    error <- NULL
    set <- if (is.null(options)) arguments else with_options(arguments, options, known)
    answer <- tryCatch(
      withCallingHandlers(
        split_prediction(predict_rows(model, as_frame(columns, rows), output, set), rows),
        warning = function(w) {
          message <- enc2utf8(conditionMessage(w))
          if (length(warned) < 20L && !message %in% warned) warned <<- c(warned, message)
          invokeRestart("muffleWarning")
        },
        message = function(m) invokeRestart("muffleMessage")
      ),
      error = function(e) {
        error <<- with_blame(enc2utf8(conditionMessage(e)))
        no_answer
      }
    )
    list(answer_value(answer), answer_names(answer), answer_levels(answer), warned, error)
  }
  if (!takes_horizon(model)) return(score)
  function(columns, output, rows = NULL, options = NULL) {
    options <- as.list(options)
    for (h in list(arguments[["h"]], options[["h"]], rows)) if (!is.null(h)) options[["h"]] <- as.integer(h)
    score(list(), output, options[["h"]], options)
  }
}

# A sidecar's [0.9, 0.1] arrives as a list of numbers; predict methods expect a vector.
as_vector <- function(argument) {
  single <- is.list(argument) && all(vapply(argument, is.atomic, NA)) && all(lengths(argument) == 1L)
  if (single) unlist(argument) else argument
}

with_blame <- function(message) {
  # The errors of model.frame(), in the language of the process, and of randomForest.
  known <- vapply(1:2, ngettext, "", "factor %s has new level %s", "factor %s has new levels %s", domain = "R-stats")
  known <- c(gsub("%s", ".*", known, fixed = TRUE), "^New factor levels not present in the training data")
  if (any(vapply(known, grepl, NA, x = message))) return(c(message, "input"))
  if (lacks_memory(message)) c(message, "memory") else message
}

# The errors of R's memory.c, in the language of the process.
lacks_memory <- function(message) {
  said <- c("cannot allocate vector of size %0.1f Gb", "cannot allocate vector of size %0.1f Mb",
            "cannot allocate memory block of size %0.1f Tb", "memory exhausted (limit reached?)",
            "vector memory exhausted (limit reached?)", "cons memory exhausted (limit reached?)",
            "vector memory limit of %0.1f Gb reached, see mem.maxVSize()")
  begins <- sub("[%(].*", "", vapply(said, gettext, "", domain = "R"))
  any(startsWith(message, begins[nzchar(begins)]))
}

no_answer <- list(NULL, NULL, NULL)

# data.frame() costs more than predict(); setting the attributes gives the same object.
frame_maker <- function(inputs) {
  names <- vapply(inputs, `[[`, "", "name")
  codings <- lapply(inputs, column_attributes)
  coded <- which(lengths(codings) > 0L)
  function(columns, rows) {
    for (i in coded) attributes(columns[[i]]) <- codings[[i]]
    attributes(columns) <- list(names = names, class = "data.frame", row.names = .set_row_names(rows))
    columns
  }
}

# The attributes that make a plain vector of codes, days or seconds a column of the input's type.
column_attributes <- function(input) {
  switch(input$type,
    factor = list(levels = input$levels, class = "factor"),
    ordered = list(levels = input$levels, class = c("ordered", "factor")),
    date = list(class = "Date"),
    datetime = list(class = c("POSIXct", "POSIXt"), tzone = input_zone(input))
  )
}

# Whatever predict() returned, as list(value, column names, levels).
split_prediction <- function(prediction, rows) {
  if (is.object(prediction)) {
    if (is.data.frame(prediction)) return(split_columns(prediction, rows))
    prediction <- plain_prediction(prediction)
  }
  if (!is.numeric(prediction)) prediction <- other_than_numbers(prediction, rows)
  if (length(dim(prediction)) > 1L) {
    if (length(dim(prediction)) > 2L) prediction <- flattened(prediction)
    if (ncol(prediction) != 1L) return(split_matrix(prediction, rows))
  }
  levels <- levels(prediction)
  attributes(prediction) <- NULL
  check_rows(length(prediction), rows)
  list(prediction, NULL, if (!is.null(levels)) enc2utf8(levels))
}

# Factors and differences of times are not numeric to R.
other_than_numbers <- function(prediction, rows) {
  switch(typeof(prediction),
    character = enc2utf8(prediction),
    logical = ,
    integer = ,
    double = prediction,
    stop(no_values(prediction, rows), call. = FALSE)
  )
}

# What predict() returned in place of predictions, and where in it the values are, as far as that can be seen. mlr has
# them in $data$response.
no_values <- function(prediction, rows) {
  classed <- is.object(prediction) && !inherits(prediction, "AsIs")
  what <- if (classed) paste("an object of class", class(prediction)[1L]) else paste("a", typeof(prediction))
  said <- paste0("predict() returned ", what, ", not one value per row")
  place <- if (is.list(prediction)) place_of_values(prediction, rows)
  if (is.null(place)) return(said)
  paste0(
    said, "; save a function that takes the values out of it, with the model's package under `packages` in its ",
    "sidecar: saveRDS(local({ m <- model; function(newdata) predict(m, newdata = newdata)", place, " }), file)"
  )
}

place_of_values <- function(parts, rows) {
  usual <- c("response", "class", "classification", "predictions", "predicted", "fit", "data")
  for (name in intersect(usual, names(parts))) {
    part <- .subset2(parts, name)
    if (is.atomic(part) && NROW(part) == rows) return(paste0("$", name))
    within <- if (is.list(part)) place_of_values(part, rows)
    if (!is.null(within)) return(paste0("$", name, within))
  }
}

# Classes whose bare numbers would mean something else.
plain_prediction <- function(prediction) {
  if (is_time(prediction)) return(iso_text(prediction))
  if (inherits(prediction, "integer64")) {
    stop("predict() returned 64-bit integers, which a reply cannot hold exactly; turn them into numbers with ",
         "as.double() or into text with as.character()", call. = FALSE)
  }
  # A matrix of package Matrix.
  if (isS4(prediction) && length(dim(prediction)) == 2L) as.matrix(prediction) else prediction
}

split_matrix <- function(prediction, rows) {
  check_rows(nrow(prediction), rows)
  names <- colnames(prediction)
  if (is.null(names)) names <- as.character(seq_len(ncol(prediction)))
  attributes(prediction) <- list(dim = dim(prediction))
  list(lapply(seq_len(ncol(prediction)), function(j) prediction[, j]), distinct(names), NULL)
}

# An array of rows, a, b, ... as a matrix of rows and a.b...; a dimension of one says nothing and gives no name.
flattened <- function(prediction) {
  dims <- dim(prediction)[-1L]
  named <- dimnames(prediction)[-1L]
  labels <- lapply(seq_along(dims), function(k) if (is.null(named[[k]])) seq_len(dims[k]) else named[[k]])
  telling <- expand.grid(labels, stringsAsFactors = FALSE)[dims > 1L]
  names <- if (length(telling) > 0L) do.call(paste, c(telling, sep = "."))
  matrix(as.vector(prediction), nrow(prediction), dimnames = list(NULL, names))
}

# A column that has columns itself gives its name to each.
split_columns <- function(columns, rows) {
  parts <- Map(function(column, name) {
    part <- split_prediction(column, rows)
    if (!is.null(part[[2L]])) return(list(part[[1L]], paste(name, part[[2L]], sep = ".")))
    list(list(if (is.null(part[[3L]])) part[[1L]] else part[[3L]][part[[1L]]]), name)
  }, unclass(columns), names(columns))
  values <- lapply(unname(parts), `[[`, 1L)
  if (length(values) == 0L) stop("predict() returned a data frame without columns", call. = FALSE)
  list(unlist(values, recursive = FALSE), distinct(unlist(lapply(unname(parts), `[[`, 2L))), NULL)
}

# A reply is an object by these names: none may stand for two columns.
distinct <- function(names) if (anyDuplicated(names)) make.unique(enc2utf8(names)) else enc2utf8(names)

check_rows <- function(found, rows) {
  if (found != rows) {
    stop("predict() returned ", found, " predictions for ", rows, " rows", call. = FALSE)
  }
}
