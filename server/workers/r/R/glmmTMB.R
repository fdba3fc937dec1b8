# glmmTMB. A group that is new is predicted from the fixed effects alone if allow.new.levels = TRUE.

model_package.glmmTMB <- function(model) "glmmTMB"

make_ready.glmmTMB <- function(model, packages) {
  model <- make_ready.default(model, packages)
  terms <- supply_functions(list(terms = attr(model$frame, "terms")), c(packages, "glmmTMB"))$terms
  attr(model$frame, "terms") <- terms
  for (part in names(model$modelInfo$allForm)) {
    environment(model$modelInfo$allForm[[part]]) <- environment(terms)
  }
  model
}

# predict() evaluates the weights and the offset of the call in the new rows.
describe_inputs.glmmTMB <- function(model) {
  beside <- as.list(model$call)[c("weights", "offset")]
  beside <- Filter(Negate(is.null), beside)
  inputs_from_mixed_frame(model$frame, if (length(beside) > 0L) as.call(c(quote(list), unname(beside))))
}

output_names.glmmTMB <- function(model) {
  inflated <- length(all.vars(model$modelInfo$allForm$ziformula)) > 0L ||
    attr(stats::terms(model$modelInfo$allForm$ziformula), "intercept") == 1L
  c("response", "link", if (inflated) c("conditional", "zprob"))
}

# The random effects are all added or none.
predict_options.glmmTMB <- function(model) predict_options.merMod(model)

predict_rows.glmmTMB <- function(model, newdata, output, arguments) {
  if (!is.null(arguments$re.form)) arguments["re.form"] <- list(random_effects(arguments$re.form))
  call_predict(model, newdata, arguments, type = output)
}
