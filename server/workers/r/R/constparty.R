# partykit::ctree, and other trees of class constparty such as as.party() of an rpart. Where a tree cannot tell which
# way a row goes (a value is missing, and so are its surrogates; it is infinite; a level was not seen at that node),
# predict() draws lots. Here such a row goes the likeliest way, as in a tree grown with majority = TRUE.

model_package.party <- function(model) "partykit"

describe_inputs.constparty <- function(model) inputs_from_party(model)

inputs_from_party <- function(model) {
  if (is.null(model$terms)) {
    stop(tandem_condition("no_schema", "the tree does not keep its terms; fit it with a formula, as ctree() does"))
  }
  terms <- model$terms
  # The data may have columns and no rows.
  attr(terms, "dataClasses") <- vapply(model$data, stats::.MFclass, "")
  inputs_from_terms(terms, frame = model$data, xlevels = Filter(Negate(is.null), lapply(model$data, levels)))
}

output_names.constparty <- function(model) party_outputs(model)

party_outputs <- function(model) {
  if (is.factor(model$fitted[["(response)"]])) c("class", "prob") else "response"
}

predict_rows.constparty <- function(model, newdata, output, arguments) {
  model$data <- with_numbers(model$data)
  answer <- function(newdata) predict_party_surely(model, newdata, output, arguments)
  # With a term such as log(x) predict() makes a model frame and leaves out rows with a missing value.
  bare <- all(party_variables(model) %in% names(newdata))
  if (bare) answer(newdata) else predict_complete(newdata, answer, none = no_party_answer(model, output))
}

# predict() takes the columns as they are only if their classes are those of the data, where 3L is not 3.
with_numbers <- function(data) {
  whole <- vapply(data, function(column) identical(class(column), "integer"), NA)
  if (any(whole)) data[whole] <- lapply(data[whole], as.double)
  data
}

party_variables <- function(model) {
  variables <- as.list(attr(stats::delete.response(model$terms), "variables"))[-1L]
  vapply(variables, expression_label, "")
}

predict_party_surely <- function(model, newdata, output, arguments) {
  without_lots_if_drawn(model, newdata, arguments, type = if (output == "prob") "prob" else "response")
}

without_lots_if_drawn <- function(model, newdata, arguments, type) {
  before <- random_state()
  on.exit(restore_random_state(before))
  prediction <- call_predict(model, newdata, arguments, type = type)
  if (identical(before, random_state())) return(prediction)
  call_predict(without_lots(model), newdata, arguments, type = type)
}

without_lots <- function(model) {
  if (inherits(model, "cforest")) {
    model$nodes <- lapply(model$nodes, node_without_lots)
  } else {
    model$node <- node_without_lots(model$node)
  }
  model
}

node_without_lots <- function(node) {
  if (partykit::is.terminal(node)) return(node)
  class <- class(node)
  node <- unclass(node)
  prob <- partykit::prob_split(node$split)
  node$split$prob <- as.double(seq_along(prob) == which.max(prob))
  node$kids <- lapply(node$kids, node_without_lots)
  structure(node, class = class)
}

no_party_answer <- function(model, output) {
  response <- model$fitted[["(response)"]]
  if (output == "prob") return(no_columns(levels(response)))
  if (is.numeric(response) || inherits(response, "Surv")) numeric() else response[0L]
}
