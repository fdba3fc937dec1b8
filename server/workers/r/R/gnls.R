# nlme's gnls: the inputs are what the curve uses and what its parameters depend on. A missing value is refused.

model_package.gnls <- function(model) "nlme"

describe_inputs.gnls <- function(model) {
  for (part in Filter(is.symbol, list(model$call$model, model$call$params))) stop(formula_elsewhere(as.character(part)))
  depends <- variables_of_parameters(model)
  open <- depends[vapply(depends, makes_levels, NA)]
  coded <- unlist(lapply(model$plist, function(matrix) names(attr(matrix, "contrasts"))))
  text <- setdiff(coded, names(model$contrasts))
  for (label in c(vapply(open, expression_label, ""), text)) stop(levels_from_rows(label))
  curve <- all.vars(nlme::getCovariateFormula(stats::formula(model)))
  curve <- setdiff(curve, c(names(model$plist), "pi"))
  inputs_with_groups(list(contrasts = model$contrasts), c(lapply(curve, as.name), depends))
}

# predict() evaluates what stands in the call where it runs, and there the variable is not.
formula_elsewhere <- function(name) {
  tandem_condition("no_schema", sprintf(paste(
    "predict() of a gnls looks for the formula `%s` in the workspace, which the file does not hold; write the formula",
    "itself into the call of gnls(), or call it as do.call(nlme::gnls, list(%s, ...))"
  ), name, name))
}

variables_of_parameters <- function(model) {
  params <- eval(model$call$params)
  sides <- lapply(if (inherits(params, "formula")) list(params) else params, function(param) param[[length(param)]])
  unlist(lapply(sides, function(side) {
    as.list(attr(stats::terms(stats::as.formula(call("~", side))), "variables"))[-1L]
  }))
}
