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
  if (!is.null(recipe)) load_package(recipe)
  model$fit$fit <- with_ready_engine(fitted, packages)
  make_ready.default(model, packages)
}

parsnip_of <- function(model) if (inherits(model, "workflow")) model$fit$fit else model

describe_inputs.workflow <- function(model) inputs_of_blueprint(blueprint_of(model))

output_names.workflow <- function(model) outputs_of_spec(parsnip_of(model)$spec)

# What the engine does not have does not answer the example, and is left out.
outputs_of_mode <- function(mode) {
  if (identical(mode, "classification")) c("class", "prob") else c("response", "conf_int")
}

predict_rows.workflow <- function(model, newdata, output, arguments) predict_tidily(model, newdata, output, arguments)
