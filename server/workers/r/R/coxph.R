# survival::coxph. The risk is relative to the mean of the model's data, or of the row's stratum. Survival is the
# chance to live longer than `times`, from predict()'s own survival with that time in every row. A missing value gives
# NA.

model_package.coxph <- function(model) "survival"

describe_inputs.coxph <- function(model) {
  terms <- model$terms
  # A frailty is a random effect, which predict() leaves out for new rows.
  frailty <- match(names(model$pterms)[model$pterms == 2], attr(terms, "term.labels"))
  if (length(frailty) > 0L) terms <- terms[-frailty]
  survival_inputs(terms, model)
}

output_names.coxph <- function(model) {
  specials <- attr(model$terms, "specials")
  if (inherits(model, "coxphms")) {
    stop(tandem_condition("no_schema", "a multi-state coxph has no prediction for a row; fit one coxph per transition"))
  }
  if (!is.null(specials$tt)) {
    stop(tandem_condition("no_schema", "a coxph with tt() has no prediction for new rows; fit it without tt()"))
  }
  kept <- keeps_training(model)
  if (!is.null(specials$strata) && !kept) {
    stop(tandem_condition("no_schema", paste(
      "with strata(), predict() needs the data that the coxph was fitted to; fit it with model = TRUE"
    )))
  }
  frailty <- any(model$pterms == 2)
  c("risk", "lp", if (kept && !frailty) "terms", if (tells_survival(model)) "survival")
}

predict_options.coxph <- function(model) {
  if (!tells_survival(model)) return(list())
  list(times = list(
    type = "numeric", default = stats::median(training_times(model)[, 1L]), minimum = 0, maximum = NULL, values = NULL
  ))
}

predict_rows.coxph <- function(model, newdata, output, arguments) {
  times <- arguments$times
  arguments$times <- NULL
  if (output != "survival") return(predict_coxph(model, newdata, output, arguments))
  # A missing stratum is an error to predict(), though any other missing value gives NA.
  columns <- lapply(times, function(time) {
    predict_complete(newdata, function(rows) survival_at(model, rows, time, arguments), numeric())
  })
  if (length(times) == 1L) columns[[1L]] else do.call(cbind, stats::setNames(columns, times))
}

# `type` is an argument of this function, because predict.coxph.penal hands it on twice if it comes as part of `...`.
predict_coxph <- function(model, newdata, output, arguments) {
  call_predict(model, newdata, c(arguments, list(type = output)))
}

# predict() looks for the response in the rows: it gets one that is the same in all of them.
survival_at <- function(model, newdata, time, arguments) {
  asked <- quote(survival::Surv(`(time)`, `(status)`))
  for (part in intersect(c("variables", "predvars"), names(attributes(model$terms)))) {
    attr(model$terms, part)[[2L]] <- asked
  }
  model$terms[[2L]] <- asked
  newdata[["(time)"]] <- rep(time, nrow(newdata))
  newdata[["(status)"]] <- rep(1, nrow(newdata))
  predict_coxph(model, newdata, "survival", arguments)
}

# Whether predict() finds what it needs of the data in the model. Else it would look for the analyst's data frame by
# its name.
keeps_training <- function(model) {
  if (!is.null(model[["model"]])) return(TRUE)
  specials <- attr(model$terms, "specials")
  bare <- is.null(model$call$weights) && is.null(attr(model$terms, "offset"))
  !is.null(model[["x"]]) && bare && (is.null(specials$strata) || !is.null(model[["strata"]]))
}

training_times <- function(model) {
  if (is.null(model[["y"]])) stats::model.response(model[["model"]]) else model[["y"]]
}

tells_survival <- function(model) {
  if (inherits(model, "coxph.penal") || !keeps_training(model)) return(FALSE)
  identical(attr(training_times(model), "type"), "right")
}

# strata(sex) needs `sex`. What it is can be read off the names of the strata: "sex=1", or just the level if all of the
# call's variables are factors or text.
survival_inputs <- function(terms, model) {
  xlevels <- model$xlevels
  variables <- as.list(attr(terms, "variables"))
  for (at in attr(terms, "specials")$strata) {
    call <- variables[[at + 1L]]
    parts <- strata_parts(call, xlevels[[expression_label(call)]])
    variables[[at + 1L]] <- parts[[1L]]$expression
    variables <- c(variables, lapply(parts[-1L], `[[`, "expression"))
    for (part in parts) xlevels[[expression_label(part$expression)]] <- part$levels
  }
  attr(terms, "variables") <- as.call(variables)
  inputs_from_terms(terms, frame = model[["model"]], xlevels = xlevels)
}

# For each variable of a strata() call an expression, the variable itself or factor() of it, and levels.
strata_parts <- function(call, labels) {
  taken <- as.list(call)[-1L]
  if (!is.null(names(taken))) taken <- taken[!nzchar(names(taken))]
  cells <- strsplit(labels, ", ", fixed = TRUE)
  lapply(seq_along(taken), function(k) {
    cell <- unique(trimws(vapply(cells, `[`, "", k)))
    prefix <- paste0(expression_label(taken[[k]]), "=")
    if (!all(startsWith(cell, prefix))) return(list(expression = taken[[k]], levels = cell))
    list(expression = call("factor", taken[[k]]), levels = substring(cell, nchar(prefix) + 1L))
  })
}
