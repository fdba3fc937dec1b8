# randomForest::randomForest, made from a formula or from x and y.

model_package.randomForest <- function(model) "randomForest"

describe_inputs.randomForest <- function(model) {
  xlevels <- Filter(is.character, model$forest$xlevels)
  points <- forest_split_points(model$forest, rownames(model$importance))
  if (!is.null(model$terms)) {
    return(inputs_from_terms(model$terms, xlevels = xlevels, split_points = points))
  }
  inputs_from_names(rownames(model$importance), xlevels, points)
}

output_names.randomForest <- function(model) {
  if (model$type != "unsupervised" && is.null(model$forest)) {
    stop(tandem_condition("no_schema", "the randomForest holds no forest; fit it with keep.forest = TRUE"))
  }
  switch(model$type,
    regression = "response",
    classification = c("class", "prob", "votes"),
    stop(tandem_condition("no_schema", "an unsupervised randomForest has nothing to predict; fit it with a response"))
  )
}

# Votes are shares of the trees unless norm.votes = FALSE asks for their number.
predict_options.randomForest <- function(model) {
  if (model$type != "classification") return(list())
  list(norm.votes = list(type = "logical", default = TRUE, minimum = NULL, maximum = NULL, values = NULL))
}

predict_rows.randomForest <- function(model, newdata, output, arguments) {
  if (output == "votes") return(call_predict(model, newdata, arguments, type = "vote"))
  arguments$norm.votes <- NULL
  switch(output,
    response = call_predict(model, newdata, arguments),
    prob = call_predict(model, newdata, arguments, type = "prob"),
    class = class_of_votes(model, newdata, arguments)
  )
}

# predict(type = "response") breaks a tie between classes by chance, from a generator that R's seed does not see.
# The same row must not be answered differently, so the class is taken from the votes by the same rule (share of
# votes over cutoff), and of tied classes the first wins, which is one of predict()'s own answers.
class_of_votes <- function(model, newdata, arguments) {
  votes <- call_predict(model, newdata, arguments, type = "vote", norm.votes = FALSE)
  cutoff <- arguments$cutoff
  if (is.null(cutoff)) cutoff <- model$forest$cutoff
  if (!is.null(names(cutoff))) cutoff <- cutoff[model$classes]
  best <- rep(NA_integer_, nrow(votes))
  highest <- rep(-Inf, nrow(votes))
  for (k in seq_along(model$classes)) {
    share <- votes[, k] / model$forest$ntree / cutoff[[k]]
    better <- !is.na(share) & share > highest
    best[better] <- k
    highest[better] <- share[better]
  }
  structure(best, levels = model$classes, class = "factor")
}

# The numbers at which numeric variables were split, per variable; the forest keeps no rows.
forest_split_points <- function(forest, names) {
  # -3 and 1 mark a node with a split, in regression and classification.
  inner <- as.vector(forest$nodestatus) %in% c(-3L, 1L)
  variable <- names[as.vector(forest$bestvar)[inner]]
  numeric <- variable %in% names[forest$ncat == 1]
  split(as.vector(forest$xbestsplit)[inner][numeric], variable[numeric])
}
