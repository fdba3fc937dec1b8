# partykit's lmtree, glmtree and other trees with a model in each leaf. As in constparty.R a row of which the tree
# cannot tell which way it goes is answered by the likeliest.

describe_inputs.modelparty <- function(model) inputs_from_party(model)

output_names.modelparty <- function(model) c("response", if (inherits(model, "glmtree")) "link")

predict_rows.modelparty <- function(model, newdata, output, arguments) {
  model$data <- with_numbers(model$data)
  answer <- function(newdata) without_lots_if_drawn(model, newdata, arguments, type = output)
  bare <- all(party_variables(model) %in% names(newdata))
  if (bare) answer(newdata) else predict_complete(newdata, answer, none = numeric())
}
