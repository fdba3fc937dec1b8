# caret's dummyVars: a column for each level. What it makes of a missing value in a factor is NA, as in a number.

model_package.dummyVars <- function(model) "caret"

describe_inputs.dummyVars <- function(model) inputs_from_terms(model$terms, xlevels = model$lvls)

output_names.dummyVars <- function(model) "columns"

# R looks for the contrasts that predict() sets among what is attached, which caret is not here.
predict_rows.dummyVars <- function(model, newdata, output, arguments) {
  lent("contr.ltfr", "caret", call_predict(model, newdata, arguments))
}
