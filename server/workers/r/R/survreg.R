# survival::survreg. Quantiles are those of the time, at the probabilities `p`. A missing value gives NA.

model_package.survreg <- function(model) "survival"

# The model keeps the levels of its strata as the names of its scales.
describe_inputs.survreg <- function(model) {
  terms <- model$terms
  strata <- attr(terms, "specials")$strata
  if (length(strata) == 1L) {
    model$xlevels[[expression_label(attr(terms, "variables")[[strata + 1L]])]] <- names(model$scale)
  }
  survival_inputs(terms, model)
}

output_names.survreg <- function(model) {
  has_terms <- length(attr(model$terms, "term.labels")) > 0L
  c("response", "lp", if (tells_quantiles(model)) "quantiles", if (has_terms) "terms")
}

predict_options.survreg <- function(model) {
  if (!tells_quantiles(model)) return(list())
  list(p = list(type = "numeric", default = NULL, minimum = 0, maximum = 1, values = NULL))
}

predict_rows.survreg <- function(model, newdata, output, arguments) {
  p <- arguments$p
  arguments$p <- NULL
  if (output != "quantiles") return(call_predict(model, newdata, arguments, type = output))
  if (is.null(p)) p <- c(0.1, 0.9)
  # Several quantiles of one row come as a vector.
  answer <- call_predict(model, newdata, arguments, type = "quantile", p = p)
  matrix(answer, nrow(newdata), length(p), dimnames = list(NULL, p))
}

# Where each stratum has a scale of its own, predict() needs the data that the model was fitted to.
tells_quantiles <- function(model) {
  is.null(attr(model$terms, "specials")$strata) || length(model$scale) == 1L || !is.null(model[["model"]])
}
