# stats::smooth.spline. Its one input is called x, as in predict(model, x), and may not be missing.

describe_inputs.smooth.spline <- function(model) {
  seen <- if (is.null(model$data)) model$x else model$data$x
  inputs_from_terms(stats::terms(~x), frame = data.frame(x = as.double(seen)))
}

# The option is the derivative that is wanted; 0 is the curve itself.
predict_options.smooth.spline <- function(model) {
  list(deriv = list(type = "integer", default = 0L, minimum = 0L, maximum = 3L, values = NULL))
}

predict_rows.smooth.spline <- function(model, newdata, output, arguments) {
  call_predict(model, newdata$x, arguments)$y
}
