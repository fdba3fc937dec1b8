# predict() of lda, qda, nnet, multinom and polr breaks a tie between classes by chance, with max.col(). The same row
# must not be answered differently and R's random numbers are not to be touched, so the class is taken from predict()'s
# own probabilities: the highest wins, and of tied classes the first, which is one of predict()'s own answers.

likeliest <- function(prob, levels) {
  structure(max.col(prob, ties.method = "first"), levels = levels, class = "factor")
}

# The value of a call that may draw random numbers for nothing.
without_drawing <- function(value) {
  before <- random_state()
  on.exit(restore_random_state(before))
  value
}

# predict() of multinom and polr drops a single row to a vector.
as_rows <- function(prob, columns) {
  if (columns == 1L || is.matrix(prob)) return(prob)
  matrix(prob, ncol = columns, dimnames = list(NULL, names(prob)))
}
