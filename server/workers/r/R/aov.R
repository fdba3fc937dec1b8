# stats::aov is answered as an lm. With an Error() term it is a list of models, one per stratum, that predict() does not
# know.

model_package.aovlist <- function(model) {
  stop(tandem_condition("no_schema", paste0(
    "predict() does not answer for an aov with an Error() term; fit the formula without it, or lme4::lmer() with a ",
    "random effect"
  )))
}
