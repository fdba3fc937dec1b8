# Species of an iris flower by a classification tree: data iris, package rpart.
source("r_models/train/save.R")

set.seed(1) # rpart cross-validates on random folds
model <- rpart::rpart(Species ~ ., data = iris)

save_model(model, "iris", "Species of an iris flower, classification tree")
