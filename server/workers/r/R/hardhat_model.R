# Models of packages made with hardhat: the blueprint says what the inputs are and what the outcome is.

describe_inputs.hardhat_model <- function(model) inputs_of_blueprint(blueprint_of(model))

output_names.hardhat_model <- function(model) {
  outcomes <- blueprint_of(model)$ptypes$outcomes
  if (length(outcomes) == 1L && is.factor(outcomes[[1L]])) c("class", "prob") else "response"
}

predict_rows.hardhat_model <- function(model, newdata, output, arguments) {
  if (output == "response") return(without_pred(call_predict(model, newdata, arguments)))
  without_pred(call_predict(model, newdata, arguments, type = output))
}
