# stats::nls. The formula is evaluated as it stands, so the inputs are the variables on its right hand side. predict.nls
# ignores se.fit and interval. A missing value gives NA.

describe_inputs.nls <- function(model) {
  home <- model$m$getEnv()
  expression <- model$m$formula()[[3L]]
  refuse_lost_functions(expression, home)
  names <- nls_variables(model, expression, home)
  if (length(names) == 0L) return(NULL)
  frame <- list2DF(mget(names, envir = home, inherits = TRUE))
  sum <- Reduce(function(left, right) call("+", left, right), lapply(names, as.name))
  terms <- stats::terms(stats::as.formula(call("~", sum)))
  attr(terms, "dataClasses") <- model$dataClasses
  inputs_from_terms(terms, frame = frame, xlevels = Filter(Negate(is.null), lapply(frame, levels)))
}

# nls() notes the classes of its variables, unless they were of several lengths.
nls_variables <- function(model, expression, home) {
  if (!is.null(model$dataClasses)) return(names(model$dataClasses))
  rows <- length(model$m$resid())
  Filter(function(name) {
    length(get0(name, envir = home)) == rows
  }, setdiff(all.vars(expression), names(model$m$getPars())))
}

refuse_lost_functions <- function(expression, home) {
  for (name in unique(called_functions(expression))) {
    if (!exists(name, envir = home, mode = "function")) {
      stop(tandem_condition("no_schema", paste0(
        "the formula uses ", name, "(), which is not in the file; write its package before it as in nlme::SSfol(), or ",
        "define it and fit the model inside of one local({ ... }), which saveRDS() stores along"
      )))
    }
  }
}
