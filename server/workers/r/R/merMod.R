# lme4's lmer and glmer, and lmerTest's. A missing value gives NA, but in a grouping factor only with
# allow.new.levels = TRUE: a group that is missing or new is then predicted from the fixed effects alone. A model that
# shall always do so has a sidecar that sets the argument, and new_level: na for the factor.

model_package.merMod <- function(model) "lme4"

make_ready.merMod <- function(model, packages) {
  model <- make_ready.default(model, packages)
  terms <- supply_functions(list(terms = attr(model@frame, "terms")), c(packages, "lme4"))$terms
  attr(model@frame, "terms") <- terms
  environment(attr(model@frame, "formula")) <- environment(terms)
  model
}

describe_inputs.merMod <- function(model) inputs_from_mixed_frame(model@frame)

# Text is taken as a factor, as lmer() does with groups, so that it is known which there are.
inputs_from_mixed_frame <- function(frame, offset = NULL) {
  terms <- attr(frame, "terms")
  text <- vapply(frame, is.character, NA)
  frame[text] <- lapply(frame[text], factor)
  factors <- names(frame)[vapply(frame, is.factor, NA)]
  attr(terms, "dataClasses")[factors] <- vapply(frame[factors], stats::.MFclass, "")
  inputs_from_terms(terms, frame = frame, xlevels = lapply(frame[factors], levels), offset = offset)
}

output_names.merMod <- function(model) {
  if (lme4::isGLMM(model)) c("response", "link") else "response"
}

# Of the random effects all or none are added; a sidecar may also name some, as in re.form: "~(1 | Subject)".
predict_options.merMod <- function(model) {
  list(
    re.form = list(type = "string", default = "all", values = c("all", "none")),
    allow.new.levels = list(type = "logical", default = FALSE)
  )
}

predict_rows.merMod <- function(model, newdata, output, arguments) {
  if (!is.null(arguments$re.form)) arguments["re.form"] <- list(random_effects(arguments$re.form))
  call_predict(model, newdata, arguments, type = output)
}

random_effects <- function(form) {
  switch(form, all = NULL, none = NA, stats::as.formula(form, env = baseenv()))
}
