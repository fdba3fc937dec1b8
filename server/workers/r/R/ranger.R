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
    Regression = c("response", if (!is.null(model$random.node.values)) "quantiles"),
    Classification = "class",
    "Probability estimation" = "prob",
    Survival = "survival"
  )
}

predict_options.ranger <- function(model) {
  if (!"quantiles" %in% output_names(model)) return(list())
  list(quantiles = list(type = "numeric", default = NULL, minimum = 0, maximum = 1, values = NULL))
}

predict_rows.ranger <- function(model, newdata, output, arguments) {
  probabilities <- arguments$quantiles
  arguments$quantiles <- NULL
  switch(output,
    quantiles = ranger_quantiles(model, newdata, probabilities, arguments),
    survival = ranger_survival(predict_ranger(model, newdata, arguments), nrow(newdata)),
    predict_ranger(model, newdata, arguments)$predictions
  )
}

# One thread, because the workers already use every core. A fixed seed, because predict() otherwise draws one, and
# breaks ties between classes with it: the same row must always get the same answer.
predict_ranger <- function(model, newdata, arguments) {
  if (length(arguments) == 0L) return(predict(model, newdata, num.threads = 1L, seed = 1L, verbose = FALSE))
  own <- list(num.threads = 1L, seed = 1L, verbose = FALSE)
  own[names(arguments)] <- arguments
  call_predict(model, newdata, own)
}

# What predict(type = "quantiles") does, which itself asks for the leaves with a random seed and on every core.
ranger_quantiles <- function(model, newdata, probabilities, arguments) {
  if (is.null(probabilities)) probabilities <- c(0.1, 0.5, 0.9)
  leaves <- predict_ranger(model, newdata, c(arguments, type = "terminalNodes"))$predictions + 1
  values <- 0 * leaves
  for (tree in seq_len(ncol(leaves))) values[, tree] <- model$random.node.values[leaves[, tree], tree]
  found <- apply(values, 1L, stats::quantile, probabilities, na.rm = TRUE)
  matrix(
    found, nrow(newdata), length(probabilities), byrow = TRUE,
    dimnames = list(NULL, paste("quantile=", probabilities))
  )
}

# There is a column for each time at which someone died. A single row comes as a vector.
ranger_survival <- function(prediction, rows) {
  times <- prediction$unique.death.times
  names <- as.character(times)
  if (anyDuplicated(names)) names <- format(times, digits = 17L, trim = TRUE)
  matrix(prediction$survival, rows, length(times), dimnames = list(NULL, names))
}
