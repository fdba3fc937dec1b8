# stats::princomp. predict.princomp wants the columns of the matrix, even those that a formula made: log(x), not x. A
# missing value makes all scores of its row NA.

model_package.princomp <- function(model) "stats"

describe_inputs.princomp <- function(model) {
  names <- rownames(model$loadings)
  if (is.null(names)) {
    stop(tandem_condition("no_schema", "the columns had no names; fit the princomp with a matrix that has them"))
  }
  inputs_from_names(names, split_points = stats::setNames(princomp_points(model), names))
}

# Values that the columns had: the scores, where they are kept, turned back; else the centre and a deviation around it.
princomp_points <- function(model) {
  scores <- if (is.null(model$scores)) rbind(-model$sdev, 0, model$sdev) else utils::head(model$scores, 200L)
  rows <- stats::na.omit(scores) %*% t(unclass(model$loadings))
  rows <- sweep(sweep(rows, 2L, model$scale, `*`), 2L, model$center, `+`)
  lapply(seq_len(ncol(rows)), function(j) signif(rows[, j], 12L))
}

output_names.princomp <- function(model) "scores"
