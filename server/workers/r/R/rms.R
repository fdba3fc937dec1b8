# Harrell's rms: ols, lrm, orm, Glm, cph, psm, Gls, Rq. `lp` is the linear predictor, at the intercept that predict()
# takes by itself; `fitted` the chance, of an ordinal response the chances to reach each of its levels, `fitted.ind`
# those to be each. A missing value gives NA. An offset in the formula is left out, as predict() does.

model_package.rms <- function(model) "rms"

# predict() evaluates a formula of its own, with rms's rcs(), pol() and the like.
make_ready.rms <- function(model, packages) {
  model <- make_ready.default(model, c(packages, "rms"))
  for (part in c("sformula", "formula")) {
    if (inherits(model[[part]], "formula")) environment(model[[part]]) <- environment(model$terms)
  }
  model
}

describe_inputs.rms <- function(model) {
  terms <- stats::delete.response(model$terms)
  expressions <- as.list(attr(terms, "variables"))[-1L]
  offsets <- attr(terms, "offset")
  if (!is.null(offsets)) expressions <- expressions[-(offsets - attr(model$terms, "response"))]
  uses <- lapply(expressions, function(term) list(expression = term, variables = variables_of(term)))
  names <- raw_variables(uses, environment(terms), NULL)
  fields <- lapply(names, rms_field, design = model$Design)
  list(
    inputs = lapply(fields, `[[`, "input"),
    values = stats::setNames(lapply(fields, `[[`, "values"), names)
  )
}

# The design has the levels of what it takes as categories, and with a datadist a few values of each column.
rms_field <- function(name, design) {
  at <- match(name, design$name)
  seen <- design$limits[[name]]
  if (is.na(at)) return(field(name, "numeric"))
  # The levels of a category, a score or a stratum.
  if (design$assume.code[at] %in% c(5L, 7L, 8L)) return(rms_levels_field(name, design$parms[[name]], seen))
  if (is.logical(seen)) return(field(name, "logical", values = seen))
  if (is_time(seen)) return(time_field(name, seen))
  known <- as.double(c(if (is.numeric(seen)) seen, if (is.numeric(design$values[[name]])) design$values[[name]]))
  knots <- if (design$assume.code[at] %in% 3:4) around(as.double(design$parms[[name]]))
  known <- known[!is.na(known)]
  field(name, "numeric", values = if (length(known) > 0L) known else knots)
}

rms_levels_field <- function(name, levels, seen) {
  numbers <- levels_field(name, as.character(levels), NULL)
  if (is.factor(seen) || numbers$input$type == "string") {
    return(field(name, "factor", levels = as.character(levels), values = seq_along(levels)))
  }
  numbers
}

output_names.rms <- function(model) {
  ordinal <- inherits(model, c("lrm", "orm")) && model$non.slopes > 1L
  c("lp", if (tells_fitted(model)) "fitted", if (ordinal) "fitted.ind")
}

tells_fitted <- function(model) {
  inherits(model, c("lrm", "orm")) || (inherits(model, "Glm") && is.function(model$family$linkinv))
}

predict_options.rms <- function(model) list()

predict_rows.rms <- function(model, newdata, output, arguments) {
  lp <- output == "lp" || inherits(model, "Glm")
  answer <- call_predict(model, newdata, arguments, type = if (lp) "lp" else output)
  if (lp) return(if (output == "fitted") model$family$linkinv(answer) else answer)
  columns <- model$non.slopes + if (output == "fitted") 0L else 1L
  as_rows(answer, columns)
}
