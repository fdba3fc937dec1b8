# vetiver's models, and the list(model =, prototype =) that vetiver_pin_write() leaves in a pin: a model beside a data
# frame, mostly of no rows, that shows what predict() takes. Everything else is answered for the model within.

# A list of model and prototype gets vetiver's class, wherever it comes from.
as_vetiver <- function(object) {
  if (inherits(object, "vetiver_model") || !is.list(object) || is.object(object)) return(object)
  paired <- !is.null(object[["model"]]) && is.data.frame(object[["prototype"]])
  if (paired) structure(object, class = "vetiver_model") else object
}

make_ready.vetiver_model <- function(model, packages) {
  needed <- model[["metadata"]]$required_pkgs
  for (package in needed) load_package(package)
  model$model <- make_ready(model$model, c(packages, needed))
  model
}

model_package.vetiver_model <- function(model) package_of(model$model)

# The prototype says what the columns are; the model within may know values for them.
describe_inputs.vetiver_model <- function(model) {
  prototype <- model[["prototype"]]
  if (!is.data.frame(prototype)) return(describe_inputs(model$model))
  found <- inputs_from_frame(prototype)
  if (nrow(prototype) == 0L) {
    inner <- tryCatch(describe_inputs(model$model), error = function(e) NULL)
    found$inputs <- lapply(found$inputs, known_texts, inner = inner$inputs)
    found$values <- values_that_fit(found$inputs, inner)
  }
  found
}

# A prototype of no rows has no texts to show; the model may know those that it was trained with.
known_texts <- function(input, inner) {
  same <- Find(function(other) identical(other$name, input$name), inner)
  if (input$type == "string" && identical(same$type, "string")) input$levels <- same$levels
  input
}

output_names.vetiver_model <- function(model) output_names(model$model)

predict_options.vetiver_model <- function(model) predict_options(model$model)

takes_horizon.vetiver_model <- function(model) takes_horizon(model$model)

predict_rows.vetiver_model <- function(model, newdata, output, arguments) {
  predict_rows(model$model, newdata, output, arguments)
}
