# Forests of about 200 MB, trained in seconds. Sourced by plain.R.

# A formula made in a function keeps what the function holds, here the model once more, and saveRDS() writes it all.
formula_alone <- as.formula("y ~ .", globalenv())

noise <- function(rows) {
  set.seed(1)
  inputs <- as.data.frame(matrix(runif(4 * rows), ncol = 4, dimnames = list(NULL, letters[1:4])))
  transform(inputs, y = a + b * c + runif(rows))
}

# Growing all the trees would take a minute. What matters here is the size, so it has each of 21 trees twelve times.
big_randomForest <- function() {
  model <- randomForest::randomForest(formula_alone, noise(20000), ntree = 21, mtry = 1, nodesize = 1)
  trees <- rep(seq_len(model$ntree), 12)
  for (part in c("nodestatus", "leftDaughter", "rightDaughter", "nodepred", "bestvar", "xbestsplit")) {
    model$forest[[part]] <- model$forest[[part]][, trees]
  }
  model$forest$ndbigtree <- model$forest$ndbigtree[trees]
  model$forest$ntree <- model$ntree <- length(trees)
  model
}

big_ranger <- function() {
  ranger::ranger(formula_alone, noise(20000), num.trees = 245, min.node.size = 1, mtry = 1, num.threads = 1, seed = 1)
}
