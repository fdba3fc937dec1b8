# nnet::multinom. A missing value makes all of its row's answers NA. Of two classes predict() gives the probability of
# the second only. Inputs are read as those of nnet.

output_names.multinom <- function(model) c("class", "prob")

predict_rows.multinom <- function(model, newdata, output, arguments) {
  prob <- as_rows(call_predict(model, newdata, arguments, type = "probs"), NCOL(model$fitted.values))
  # A matrix of counts has labels in place of levels.
  if (output == "prob") prob else class_of_raw(prob, if (length(model$lev) > 0L) model$lev else model$lab)
}
