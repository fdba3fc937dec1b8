# A function of a data frame, saved as it is. What columns it needs only a sidecar can say. saveRDS() keeps the function
# and what it encloses, but not what lies in the analyst's workspace.

make_ready.function <- function(model, packages) {
  if (is.primitive(model)) stop(not_a_model("a function of R itself"))
  if (length(formals(model)) == 0L) stop(not_a_model("a function without arguments"))
  home <- environment(model)
  lacking <- lacking_functions(called_functions(body(model)), home)
  found <- Filter(Negate(is.null), lapply(stats::setNames(nm = lacking), find_function, packages = packages))
  if (length(found) > 0L) environment(model) <- list2env(found, parent = home)
  model
}

model_package.function <- function(model) NULL

describe_inputs.function <- function(model) NULL

predict_rows.function <- function(model, newdata, output, arguments) call_with_rows(model, newdata, arguments)

# By the symbol `newdata`, so that the call does not hold the data.
call_with_rows <- function(f, newdata, arguments) {
  if (length(arguments) == 0L) f(newdata) else do.call(f, c(list(quote(newdata)), arguments))
}
