# The raw variables a caller must send, read from a model's terms: factor(cyl) and poly(cyl, 2) both need `cyl`.

# list(inputs =, values =). `frame` is the stored model frame, if the model has one; `split_points` the numbers at
# which a tree or forest splits each term, if it keeps no rows; `offset` the offset argument of the model's call.
inputs_from_terms <- function(terms, frame = NULL, xlevels = NULL, split_points = list(), offset = NULL) {
  terms <- stats::delete.response(terms)
  expressions <- as.list(attr(terms, "variables"))[-1L]
  labels <- vapply(expressions, expression_label, "")
  classes <- attr(terms, "dataClasses")
  frame <- sample_frame(frame)
  uses <- Map(function(expression, label) {
    list(
      expression = expression,
      variables = variables_of(expression),
      class = if (label %in% names(classes)) classes[[label]],
      levels = xlevels[[label]],
      column = frame[[label]],
      points = split_points[[label]]
    )
  }, expressions, labels)
  if (!is.null(offset)) uses <- c(uses, list(list(expression = offset, variables = variables_of(offset))))
  names <- raw_variables(uses, environment(terms), nrow(frame))
  # Which terms use each variable: to look through all of them for each of 3,000 would take minutes.
  variables <- lapply(uses, `[[`, "variables")
  users <- split(rep(seq_along(uses), lengths(variables)), unlist(variables))
  fields <- lapply(names, function(name) raw_field(name, uses[users[[name]]]))
  list(
    inputs = lapply(fields, `[[`, "input"),
    values = stats::setNames(lapply(fields, `[[`, "values"), names)
  )
}

# The inputs of a model that only knows the names of its columns.
inputs_from_names <- function(names, xlevels = list(), split_points = list()) {
  fields <- lapply(names, function(name) {
    symbol_field(name, list(levels = xlevels[[name]], points = split_points[[name]]))
  })
  list(
    inputs = lapply(fields, `[[`, "input"),
    values = stats::setNames(lapply(fields, `[[`, "values"), names)
  )
}

# The names that model.frame() gives to its columns.
expression_label <- function(expression) {
  if (is.symbol(expression)) return(as.character(expression))
  paste(deparse(expression, width.cutoff = 500L, backtick = TRUE), collapse = " ")
}

raw_variables <- function(uses, home, rows) {
  expressions <- lapply(uses, `[[`, "expression")
  for (expression in expressions) {
    if (takes_a_column(expression)) {
      stop(tandem_condition("no_schema", paste0(
        "the formula names a column as ", expression_label(expression), ", which predict() cannot replace by new ",
        "data; fit the model with bare column names and data = your data frame"
      )))
    }
  }
  names <- unique(unlist(lapply(uses, `[[`, "variables")))
  bare <- names %in% vapply(Filter(is.symbol, expressions), as.character, "")
  setdiff(names, Filter(function(name) is_constant(name, home, rows), names[!bare]))
}

# Whether data$x or data[["x"]] is in it. In as.POSIXlt(x)$hour the `$` takes a part of what a call makes of x.
takes_a_column <- function(expression) {
  if (!is.call(expression)) return(FALSE)
  parts <- as.list(expression)
  if (is_part_of(parts) && is.symbol(parts[[2L]])) return(TRUE)
  any(vapply(Filter(is.call, parts), takes_a_column, NA))
}

is_part_of <- function(parts) is.symbol(parts[[1L]]) && as.character(parts[[1L]]) %in% c("$", "[[", "@")

# all.vars() that knows that in splines::ns(x) and as.POSIXlt(x)$hour only x is a variable.
variables_of <- function(expression) {
  if (is.symbol(expression)) return(all.vars(expression))
  if (!is.call(expression)) return(character())
  parts <- as.list(expression)
  if (is.symbol(parts[[1L]])) {
    if (as.character(parts[[1L]]) %in% c("::", ":::", "function")) return(character())
    parts <- if (as.character(parts[[1L]]) %in% c("$", "@")) parts[2L] else parts[-1L]
  }
  unique(unlist(lapply(parts, variables_of)))
}

# In poly(x, degree) or I(x * pi), `degree` and `pi` are no inputs: they are found where the formula was written and
# are not as long as the data.
is_constant <- function(name, home, rows) {
  while (is.environment(home) && !identical(home, globalenv()) && !identical(home, emptyenv())) {
    if (exists(name, envir = home, inherits = FALSE)) {
      return(is.null(rows) || NROW(get(name, envir = home, inherits = FALSE)) != rows)
    }
    if (isNamespace(home)) break
    home <- parent.env(home)
  }
  exists(name, envir = baseenv(), inherits = FALSE) && !is.function(get(name, envir = baseenv()))
}

# At most 200 complete rows, spread over the model frame: enough to draw from, small enough to hand around.
sample_frame <- function(frame) {
  if (!is.data.frame(frame) || nrow(frame) == 0L) return(NULL)
  keep <- which(stats::complete.cases(frame))
  if (length(keep) > 200L) keep <- keep[round(seq(1, length(keep), length.out = 200L))]
  if (length(keep) == 0L) return(NULL)
  sampled <- frame[keep, , drop = FALSE]
  # Subsetting forgets the coefficients of poly(x, 2), the knots of ns(x) and the like.
  for (name in names(frame)[vapply(frame, is.matrix, NA)]) {
    known <- attributes(frame[[name]])
    attributes(sampled[[name]]) <- c(attributes(sampled[[name]])["dim"], known[setdiff(names(known), no_keep)])
  }
  sampled
}

no_keep <- c("dim", "dimnames")

# What is known of one raw variable from all terms that use it: by itself if it ever stands alone, else from inside a
# call such as log(x).
raw_field <- function(name, uses) marked_zone(field_of_uses(name, uses), name, uses)

field_of_uses <- function(name, uses) {
  alone <- Find(function(use) identical(use$expression, as.name(name)), uses)
  factor_use <- Find(function(use) !is.null(levels_inside(name, use)), uses)
  if (!is.null(alone)) return(allowing(factor_use$levels, symbol_field(name, alone)))
  if (!is.null(factor_use)) return(levels_field(name, factor_use$levels, factor_use$column))
  time <- time_inside(name, uses)
  if (!is.null(time)) return(time)
  text <- unlist(lapply(uses, function(use) text_inside(name, use$expression)))
  if (length(text) > 0L) return(field(name, "string", values = c(text, "other")))
  found <- Filter(length, lapply(uses, function(use) values_inside(name, use)))
  field(name, "numeric", values = if (length(found) > 0L) found[[1L]])
}

# An integer column is declared numeric, as in dataClasses: predict() takes any number there.
symbol_field <- function(name, use) {
  class <- if (is.null(use$class)) guessed_class(use) else use$class
  column <- use$column
  switch(class,
    numeric = field(name, "numeric", values = if (is.null(column)) around(use$points) else as.double(column)),
    logical = field(name, "logical", values = column),
    character = field(name, "string", levels = use$levels, values = column),
    factor = ,
    ordered = ordered_or_numeric(name, class, use),
    if (is_time(column)) time_field(name, column) else stop(untakeable(name, class))
  )
}

guessed_class <- function(use) {
  if (!is.null(use$levels)) return("factor")
  if (is.null(use$column)) "numeric" else stats::.MFclass(use$column)
}

# randomForest's formula method turns an ordered factor into its ranks and forgets the labels: the caller sends ranks.
ordered_or_numeric <- function(name, class, use) {
  levels <- if (is.null(use$levels)) levels(use$column) else use$levels
  if (is.null(levels)) return(field(name, "numeric", values = around(use$points)))
  codes <- if (is.null(use$column)) seq_along(levels) else match(as.character(use$column), levels)
  field(name, class, levels = levels, values = codes)
}

# The levels of factor(x), if the use is that and nothing more.
levels_inside <- function(name, use) {
  call <- use$expression
  makers <- c("factor", "as.factor", "ordered", "as.ordered")
  plain <- is.call(call) && as.character(call[[1L]])[1L] %in% makers && identical(call[[2L]], as.name(name))
  renamed <- plain && "labels" %in% names(call)
  if (plain && !renamed) use$levels
}

levels_field <- function(name, levels, column) {
  labels <- if (is.null(column)) levels else as.character(column)
  values <- utils::type.convert(labels, as.is = TRUE)
  if (is.logical(values)) return(field(name, "logical", values = values))
  if (is.numeric(values)) return(allowing(levels, field(name, "numeric", values = as.double(values))))
  field(name, "string", levels = levels, values = labels)
}

# A number that the formula turns into a factor must be one of those that the model has seen.
allowing <- function(levels, field) {
  numbers <- suppressWarnings(as.double(levels))
  if (field$input$type == "numeric" && length(numbers) > 0L && !anyNA(numbers)) field$input$allowed <- numbers
  field
}

# x == "yes" and x %in% c("a", "b") take text.
text_inside <- function(name, expression) {
  if (!is.call(expression)) return(NULL)
  parts <- as.list(expression)
  compares <- as.character(parts[[1L]])[1L] %in% c("==", "!=", "%in%")
  if (compares && any(vapply(parts[-1L], identical, NA, as.name(name)))) {
    other <- Filter(function(part) !identical(part, as.name(name)), parts[-1L])
    constants <- unlist(lapply(other, function(part) tryCatch(eval(part, baseenv()), error = function(e) NULL)))
    if (is.character(constants)) return(constants)
  }
  unlist(lapply(parts[-1L], text_inside, name = name))
}

# Values of x that give the stored column of log(x), poly(x, 2) and the like; NULL where that is not simple.
values_inside <- function(name, use) {
  call <- use$expression
  column <- use$column
  direct <- is.call(call) && length(call) > 1L && identical(call[[2L]], as.name(name))
  if (!direct || is.null(column)) return(NULL)
  inverse <- inverses[[utils::tail(as.character(call[[1L]]), 1L)]]
  single <- length(call) == 2L || is.matrix(column)
  values <- if (single && !is.null(inverse)) as.double(inverse(column))
  # Undo the rounding of there and back, for an example that a reader recognises.
  if (!is.null(values) && all(is.finite(values))) signif(values, 12L)
}

between_knots <- function(column) {
  ends <- attr(column, "Boundary.knots")
  if (is.null(ends)) NULL else seq(ends[1L], ends[2L], length.out = nrow(column))
}

inverses <- list(
  log = exp,
  log10 = function(column) 10^column,
  log2 = function(column) 2^column,
  log1p = expm1,
  exp = log,
  sqrt = function(column) column^2,
  offset = identity,
  poly = function(column) {
    coefs <- attr(column, "coefs")
    if (is.null(coefs)) column[, 1L] else column[, 1L] * sqrt(coefs$norm2[3L]) + coefs$alpha[1L]
  },
  scale = function(column) {
    center <- attr(column, "scaled:center")
    spread <- attr(column, "scaled:scale")
    column[, 1L] * (if (is.null(spread)) 1 else spread) + (if (is.null(center)) 0 else center)
  },
  ns = between_knots,
  bs = between_knots
)

field <- function(name, type, levels = NULL, values = NULL, tz = NULL) {
  input <- list(name = enc2utf8(name), type = type, levels = if (!is.null(levels)) enc2utf8(levels), na = FALSE)
  if (!is.null(tz)) input$tz <- tz
  list(input = input, values = values)
}

# Values on both sides of the split points of a tree, the typical one first.
around <- function(points) {
  if (length(points) == 0L) return(NULL)
  middle <- signif(stats::median(points), 3L)
  # Splits at 2.5, 3.5, ... tell that the variable counts something.
  if (mean(points %% 1 == 0.5) > 0.9) middle <- floor(middle)
  points <- sort.int(unique(as.double(points)))
  count <- length(points)
  step <- if (count > 1L) stats::median(diff(points)) else max(abs(points), 1)
  # As quantile(type = 1) has them, in a tenth of the time: there may be thousands of variables.
  spread <- points[pmax(1, ceiling(count * seq(0, 1, by = 0.05) - 1e-9))]
  c(middle, unique(c(points[1L] - step, spread, points[count] + step)))
}
