# ranger::ranger. It keeps no rows. Before 0.16 it refuses missing values and forgets the levels of factors, unless it
# was grown with respect.unordered.factors = "order": such a column takes the number of the level, until a sidecar says
# more.

model_package.ranger <- function(model) "ranger"

describe_inputs.ranger <- function(model) {
  forest <- model$forest
  if (is.null(forest)) {
    stop(tandem_condition("no_schema", "the ranger object holds no forest; fit it with write.forest = TRUE"))
  }
  names <- forest$independent.variable.names
  id <- unlist(forest$split.varIDs)
  inner <- unlist(lapply(forest$child.nodeIDs, function(children) children[[1L]])) > 0
  points <- split(unlist(forest$split.values)[inner], names[id[inner] + 1L])
  levels <- forest$covariate.levels
  if (!is.null(levels)) names(levels) <- names
  inputs_from_names(names, Filter(Negate(is.null), levels), points)
}

output_names.ranger <- function(model) {
  switch(model$treetype,
    Regression = "response",
    Classification = "class",
    "Probability estimation" = "prob",
    stop(tandem_condition("no_schema", "ranger survival forests are not served yet"))
  )
}

# One thread, because the workers already use every core. A fixed seed, because predict() otherwise draws one, and
# breaks ties between classes with it: the same row must always get the same answer.
predict_rows.ranger <- function(model, newdata, output, arguments) {
  prediction <- if (length(arguments) == 0L) {
    predict(model, newdata, num.threads = 1L, seed = 1L, verbose = FALSE)
  } else {
    own <- list(num.threads = 1L, seed = 1L, verbose = FALSE)
    own[names(arguments)] <- arguments
    call_predict(model, newdata, own)
  }
  prediction$predictions
}
