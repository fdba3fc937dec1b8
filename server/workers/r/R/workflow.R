# workflows::workflow: a recipe or formula, and the parsnip model fitted with it.

model_package.workflow <- function(model) "workflows"

make_ready.workflow <- function(model, packages) {
  fitted <- parsnip_of(model)
  if (is.null(fitted)) {
    stop(tandem_condition("not_a_model", paste(
      "the file holds a workflow that is not fitted; save what fit(workflow, data) returned"
    )))
  }
  recipe <- if (!is.null(blueprint_of(model)$recipe)) "recipes"
  for (package in c(recipe, as.character(fitted$spec$method$libs))) load_package(package)
  make_ready.default(model, packages)
}

parsnip_of <- function(model) if (inherits(model, "workflow")) model$fit$fit else model

describe_inputs.workflow <- function(model) inputs_of_blueprint(blueprint_of(model))

output_names.workflow <- function(model) outputs_of_mode(parsnip_of(model)$spec$mode)

# What the engine does not have does not answer the example, and is left out.
outputs_of_mode <- function(mode) {
  if (identical(mode, "classification")) c("class", "prob") else c("response", "conf_int")
}

predict_rows.workflow <- function(model, newdata, output, arguments) {
  if (output == "response") return(without_pred(call_predict(model, newdata, arguments)))
  without_pred(call_predict(model, newdata, arguments, type = output))
}
