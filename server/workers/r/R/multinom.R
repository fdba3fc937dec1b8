# nnet::multinom. A missing value makes all of its row's answers NA. Of two classes predict() gives the probability of
# the second only. Inputs are read as those of nnet.

output_names.multinom <- function(model) c("class", "prob")

predict_rows.multinom <- function(model, newdata, output, arguments) {
  prob <- multinom_prob(model, newdata, arguments)
  # A matrix of counts has labels in place of levels.
  if (output == "prob") prob else class_of_raw(prob, if (length(model$lev) > 0L) model$lev else model$lab)
}

# predict.multinom leaves rows out in which something is missing and answers NA for them, but fails if none is left.
multinom_prob <- function(model, newdata, arguments) {
  fitted <- as.matrix(model$fitted.values)
  tryCatch(
    as_rows(call_predict(model, newdata, arguments, type = "probs"), ncol(fitted)),
    error = function(e) {
      left <- stats::model.frame(
        stats::delete.response(model$terms), newdata, na.action = stats::na.omit, xlev = model$xlevels
      )
      if (nrow(left) > 0L) stop(e)
      matrix(NA_real_, nrow(newdata), ncol(fitted), dimnames = list(NULL, colnames(fitted)))
    }
  )
}
