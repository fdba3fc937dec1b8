# Inputs of a model that keeps its terms and rows of the matrix it was fitted to, but neither the data nor the levels
# of its factors: svm of e1071 and ksvm of kernlab.

# `design` holds those rows, `scaling` is list(columns =, center =, scale =) or NULL. `rename` is what was done to the
# names that model.matrix() had given.
inputs_from_design <- function(terms, design, scaling, rename = identity) {
  terms <- stats::delete.response(terms)
  variables <- as.list(attr(terms, "variables"))[-1L]
  labels <- vapply(variables, expression_label, "")
  classes <- attr(terms, "dataClasses")[labels]
  grouped <- classes %in% c("factor", "ordered", "character")
  for (label in labels[grouped & !vapply(variables, is.symbol, NA)]) stop(levels_from_rows(label))
  design <- unscaled(design, scaling)
  stems <- rename(vapply(variables, function(variable) deparse1(variable, backtick = TRUE), ""))
  with_levels <- which(grouped | classes %in% "logical")
  full <- with_levels[stems[with_levels] == rename(first_grouping_term(terms, with_levels))]
  xlevels <- list()
  for (i in which(grouped)) {
    columns <- columns_of(stems[i], stems[-i], colnames(design))
    levels <- substring(columns, nchar(stems[i]) + 1L)
    if (!i %in% full || is_doubtful(levels, rename)) stop(levels_lost(labels[i]))
    xlevels[[labels[i]]] <- levels
  }
  # Text is taken as a factor: model.matrix() would make one that has no more levels than the rows at hand.
  attr(terms, "dataClasses")[labels[classes %in% "character"]] <- "factor"
  inputs_from_terms(terms, frame = frame_of_design(labels, stems, xlevels, design), xlevels = xlevels)
}

# The inputs of a model that was made from a matrix: new rows must have its columns, in its order.
inputs_from_matrix <- function(design, scaling) {
  names <- if (is.matrix(design)) colnames(design)
  if (is.null(names)) {
    stop(tandem_condition("no_schema", paste(
      "the model does not keep the names of its columns; fit it with a formula and a data frame, or state the inputs",
      "in the sidecar's schema in the order of the matrix"
    )))
  }
  design <- unscaled(design, scaling)
  found <- inputs_from_names(names)
  found$values <- lapply(stats::setNames(nm = names), function(name) as.double(design[, name]))
  found
}

# signif() is far finer than any data, and coarser than the rounding of scaling there and back. So a reader recognises
# the example.
unscaled <- function(design, scaling) {
  if (is.null(scaling) || !any(scaling$columns)) return(design)
  part <- design[, scaling$columns, drop = FALSE]
  part <- sweep(sweep(part, 2L, scaling$scale, `*`), 2L, scaling$center, `+`)
  design[, scaling$columns] <- signif(part, 12L)
  design
}

# Such a matrix has no intercept: the first term that groups has a column for each level, of any other the first level
# is lost.
first_grouping_term <- function(terms, with_levels) {
  factors <- attr(terms, "factors")
  grouping <- which(colSums(factors[with_levels, , drop = FALSE]) > 0)
  colnames(factors)[grouping[1L]]
}

columns_of <- function(stem, others, names) {
  names <- names[startsWith(names, stem)]
  for (other in others[startsWith(others, stem)]) names <- names[!startsWith(names, other)]
  names
}

# make.names() puts a dot for what it does not like: a level with a dot may have been another.
is_doubtful <- function(levels, rename) {
  !identical(rename, identity) && any(grepl(".", levels, fixed = TRUE))
}

levels_from_rows <- function(label) {
  tandem_condition("no_schema", paste0(
    "predict() takes the levels of ", label, " from the rows it is given, so it cannot answer for one row; make the ",
    "column a factor in the data and fit the model with its bare name"
  ))
}

levels_lost <- function(label) {
  tandem_condition("no_schema", paste0(
    "the model does not keep the levels of the factor '", label, "'; state the inputs in the sidecar's schema, ",
    "'", label, "' with its levels in the order of levels()"
  ))
}

# The values that the rows of the design had in the data, as far as they can be read off the design.
frame_of_design <- function(labels, stems, xlevels, design) {
  columns <- Map(function(label, stem) {
    levels <- xlevels[[label]]
    if (!is.null(levels)) {
      return(factor(levels[max.col(design[, paste0(stem, levels), drop = FALSE], "first")], levels))
    }
    if (stem %in% colnames(design)) as.double(design[, stem])
  }, labels, stems)
  list2DF(Filter(Negate(is.null), columns), nrow(design))
}
