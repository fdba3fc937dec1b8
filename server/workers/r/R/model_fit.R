# parsnip's model_fit: an engine's model with what parsnip must do to rows. The inputs are those of parsnip's own terms,
# or where it hands rows on as they are, the engine's.

model_package.model_fit <- function(model) "parsnip"

make_ready.model_fit <- function(model, packages) {
  if (inherits(model$fit, "try-error")) {
    stop(tandem_condition("not_a_model", paste(
      "the file holds a model_fit whose engine failed when it was fitted; fit it again with",
      "parsnip::control_parsnip(catch = FALSE), which shows why"
    )))
  }
  model <- with_ready_engine(model, packages)
  make_ready.default(model, packages)
}

# The engine's packages are loaded, and its model is made ready as if it stood alone, as far as it can be.
with_ready_engine <- function(fitted, packages) {
  packages <- c(packages, as.character(fitted$spec$method$libs))
  for (package in packages) load_package(package)
  if (inherits(fitted$preproc$terms, "terms")) {
    fitted$preproc$terms <- supply_functions(list(terms = fitted$preproc$terms), packages)$terms
  }
  ready <- tryCatch(make_ready(fitted$fit, packages), tandem_error = function(e) NULL)
  if (!is.null(ready)) fitted$fit <- ready
  fitted
}

describe_inputs.model_fit <- function(model) {
  blueprint <- blueprint_of(model)
  if (!is.null(blueprint)) return(inputs_of_blueprint(blueprint))
  preproc <- model$preproc
  found <- if (inherits(preproc$terms, "terms")) {
    inputs_from_terms(preproc$terms, xlevels = preproc$xlevels)
  } else {
    describe_inputs(model$fit)
  }
  names <- vapply(found$inputs, `[[`, "", "name")
  if (is.null(preproc$x_var) || setequal(names, preproc$x_var)) found
}

output_names.model_fit <- function(model) outputs_of_spec(model$spec)

# What the engine can say, by parsnip's names, but for the number that a regression answers.
outputs_of_spec <- function(spec) {
  offered <- names(spec$method$pred)
  if (length(offered) == 0L) return(outputs_of_mode(spec$mode))
  first <- switch(spec$mode, classification = c("class", "prob"), regression = "response", "time")
  others <- intersect(c("linear_pred", "conf_int", "pred_int"), offered)
  c(first[1L], intersect(first[-1L], offered), others)
}

predict_rows.model_fit <- function(model, newdata, output, arguments) predict_tidily(model, newdata, output, arguments)

predict_tidily <- function(model, newdata, output, arguments) {
  if (output == "response") return(without_pred(call_predict(model, newdata, arguments)))
  without_pred(call_predict(model, newdata, arguments, type = output))
}
