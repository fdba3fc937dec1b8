# stats::prcomp. predict.prcomp wants the columns of the matrix, even those that a formula made: log(x), not x. A
# missing value makes all scores of its row NA.

describe_inputs.prcomp <- function(model) {
  names <- rownames(model$rotation)
  if (is.null(names)) {
    stop(tandem_condition("no_schema", "the columns had no names; fit the prcomp with a matrix that has column names"))
  }
  inputs_from_names(names, split_points = stats::setNames(prcomp_points(model), names))
}

# The rows are kept as scores, if at all. They are turned back to what they were, or near it where components were left
# out.
prcomp_points <- function(model) {
  sdev <- model$sdev[seq_len(ncol(model$rotation))]
  scores <- if (is.null(model$x)) rbind(-sdev, 0, sdev) else stats::na.omit(utils::head(model$x, 200L))
  rows <- scores %*% t(model$rotation)
  if (is.numeric(model$scale)) rows <- sweep(rows, 2L, model$scale, `*`)
  if (is.numeric(model$center)) rows <- sweep(rows, 2L, model$center, `+`)
  lapply(seq_len(ncol(rows)), function(j) signif(rows[, j], 12L))
}

output_names.prcomp <- function(model) "scores"
