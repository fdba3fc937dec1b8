# e1071::svm, made from a formula or from x and y. predict() leaves out a row with a missing value; here it
# gets NA.

model_package.svm <- function(model) "e1071"

describe_inputs.svm <- function(model) {
  scaling <- list(
    columns = model$scaled,
    center = model$x.scale[["scaled:center"]],
    scale = model$x.scale[["scaled:scale"]]
  )
  if (!inherits(model, "svm.formula")) return(inputs_from_matrix(model$SV, scaling))
  # svm() put the matrix through data.frame(), which changes names.
  inputs_from_design(model$terms, model$SV, scaling, rename = make.names)
}

# libsvm numbers its kinds of models: 0 and 1 classify, 2 tells whether a row is like the others, 3 and 4 are
# regressions.
output_names.svm <- function(model) {
  if (model$type > 2) return("response")
  c("class", if (model$type < 2 && model$compprob) "prob", "decision")
}

predict_rows.svm <- function(model, newdata, output, arguments) {
  answer <- function(newdata) {
    switch(output,
      prob = attr(call_predict(model, newdata, arguments, probability = TRUE), "probabilities"),
      decision = decision_values(call_predict(model, newdata, arguments, decision.values = TRUE)),
      call_predict(model, newdata, arguments)
    )
  }
  predict_complete(newdata, answer, none = no_svm_answer(model, output))
}

# A data frame, so that a single column keeps its name: it tells for which class a positive value speaks. That of a
# one-class svm has nothing to tell.
decision_values <- function(prediction) {
  values <- attr(prediction, "decision.values")
  if (identical(colnames(values), "/")) as.vector(values) else as.data.frame(values, optional = TRUE)
}

no_svm_answer <- function(model, output) {
  classes <- model$levels[model$labels]
  switch(output,
    class = if (model$type == 2) logical() else no_labels(model$levels),
    prob = no_columns(classes),
    decision = if (model$type == 2) numeric() else no_columns(utils::combn(classes, 2L, paste, collapse = "/")),
    numeric()
  )
}
