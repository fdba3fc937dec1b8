# stats::lm with several responses, and aov of several: one column each. predict.mlm knows no standard errors. Inputs
# are those of lm.

output_names.mlm <- function(model) "response"

predict_options.mlm <- function(model) list()
