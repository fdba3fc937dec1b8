# glmnet::cv.glmnet, also relaxed. `s` is "lambda.1se" or "lambda.min", as predict() has it; `lambda` is a number in
# its place.

model_package.cv.glmnet <- function(model) "glmnet"

describe_inputs.cv.glmnet <- function(model) describe_inputs(model$glmnet.fit)

output_names.cv.glmnet <- function(model) output_names(model$glmnet.fit)

predict_options.cv.glmnet <- function(model) {
  named <- c("lambda.1se", "lambda.min")
  list(
    s = list(type = "string", default = named[1L], minimum = NULL, maximum = NULL, values = named),
    lambda = list(type = "numeric", default = NULL, minimum = 0, maximum = NULL, values = NULL),
    gamma = gamma_option(NULL)
  )[c(TRUE, TRUE, inherits(model, "cv.relaxed"))]
}

predict_rows.cv.glmnet <- function(model, newdata, output, arguments) {
  # A sidecar's number arrives as text, as the option is.
  if (!is.null(arguments$s) && !any(arguments$s %in% c("lambda.1se", "lambda.min"))) {
    arguments$s <- as.double(arguments$s)
  }
  if (!is.null(arguments$lambda)) arguments$s <- arguments$lambda
  arguments$lambda <- NULL
  predict_glmnet(model, model$glmnet.fit, newdata, output, arguments)
}
