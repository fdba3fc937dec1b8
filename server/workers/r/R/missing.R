# For classes whose predict() leaves out rows with a missing value. Here every row gets an answer: NA for such a one,
# and for the others what predict() says of them.

# `answer` predicts rows without missing values; `none` is its answer for no rows.
predict_complete <- function(newdata, answer, none) {
  complete <- stats::complete.cases(newdata)
  if (all(complete)) return(answer(newdata))
  found <- if (any(complete)) answer(newdata[complete, , drop = FALSE]) else none
  from <- match(seq_along(complete), which(complete))
  if (is.null(dim(found))) found[from] else found[from, , drop = FALSE]
}

# The answers for no rows: of labels, of columns.
no_labels <- function(levels) factor(character(), levels)

no_columns <- function(names) {
  as.data.frame(matrix(numeric(), 0L, length(names), dimnames = list(NULL, names)), optional = TRUE)
}
