# nlme's lme and nlme. The groups are inputs: a group that is missing or that the model has not seen is answered NA, and
# with level = 0 all rows are predicted from the fixed effects alone. Any other missing value is refused.

model_package.lme <- function(model) "nlme"

# predict() evaluates the fixed formula where the analyst wrote it, which may be a variable of theirs. Of a column of
# text it takes the levels from the rows, unless the model has contrasts for it as it has for factors.
make_ready.lme <- function(model, packages) {
  model <- make_ready.default(model, packages)
  if (!inherits(model$terms, "terms")) return(model)
  if (is.symbol(model$call$fixed)) model$call$fixed <- stats::formula(model$terms)
  classes <- attr(stats::delete.response(model$terms), "dataClasses")
  for (name in intersect(names(classes)[classes == "character"], names(model[["data"]]))) {
    model$contrasts[[name]] <- stats::contrasts(factor(model$data[[name]]))
  }
  model
}

describe_inputs.lme <- function(model) {
  terms <- stats::delete.response(model$terms)
  classes <- attr(terms, "dataClasses")
  variables <- as.list(attr(terms, "variables"))[-1L]
  open <- !vapply(variables, is.symbol, NA) & vapply(variables, makes_levels, NA)
  text <- setdiff(names(classes)[classes == "character"], names(model$contrasts))
  for (label in c(vapply(variables[open], expression_label, ""), text)) stop(levels_from_rows(label))
  random <- lapply(stats::formula(model$modelStruct$reStruct), function(form) attr(stats::terms(form), "variables"))
  random <- unlist(lapply(random, function(variables) as.list(variables)[-1L]))
  inputs_with_groups(model, c(variables, random, nlme_groups(model)), classes, environment(terms))
}

# Whether an expression is factor(x) without levels of its own.
makes_levels <- function(expression) {
  makers <- c("factor", "as.factor", "ordered", "as.ordered")
  is.call(expression) && as.character(expression[[1L]])[1L] %in% makers && !"levels" %in% names(expression)
}

# The formula of the response stands among the parameters' formulas, of which only the variables are inputs.
describe_inputs.nlme <- function(model) {
  fixed <- eval(model$call$fixed, environment(stats::formula(model)))
  used <- c(model$call$model, fixed, unlist(stats::formula(model$modelStruct$reStruct)))
  response <- all.vars(nlme::getResponseFormula(stats::formula(model)))
  names <- setdiff(unlist(lapply(used, all.vars)), c(response, names(model$plist), "pi"))
  inputs_with_groups(model, c(lapply(names, as.name), nlme_groups(model)))
}

nlme_groups <- function(model) lapply(all.vars(nlme::getGroupsFormula(model)), as.name)

# `variables` are expressions. What is known of a column is read off the data, if the model keeps them, else off the
# groups and contrasts; of groups within groups the levels are named outer/inner.
inputs_with_groups <- function(model, variables, classes = NULL, home = globalenv()) {
  names <- unique(unlist(lapply(variables, variables_of)))
  data <- model[["data"]]
  kept <- if (is.data.frame(data)) as.data.frame(unclass(data)[intersect(names, names(data))], optional = TRUE)
  if (length(kept) > 0L) variables <- c(variables, lapply(names(kept), as.name))
  text <- vapply(kept, is.character, NA)
  kept[text] <- lapply(kept[text], factor)
  levels <- c(lapply(kept[vapply(kept, is.factor, NA)], levels), lapply(model$contrasts, rownames))
  groups <- lapply(model$groups, function(group) unique(sub("^.*/", "", levels(group))))
  levels <- c(levels, groups[setdiff(names(groups), c(names(kept), names(levels)))])
  terms <- stats::terms(~1)
  attr(terms, "variables") <- as.call(c(quote(list), unique(variables)))
  attr(terms, "dataClasses") <- classes[setdiff(names(classes), names(kept)[text])]
  environment(terms) <- home
  inputs_from_terms(terms, frame = kept, xlevels = levels)
}

output_names.lme <- function(model) "response"

predict_options.lme <- function(model) {
  groups <- model$dims$Q
  list(level = list(type = "integer", default = groups, minimum = 0L, maximum = groups, values = NULL))
}

predict_rows.lme <- function(model, newdata, output, arguments) call_predict(model, newdata, arguments)
