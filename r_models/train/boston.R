# Median house value in Boston suburbs by a random forest: data MASS::Boston, package randomForest.
source("r_models/train/save.R")

set.seed(1)
model <- randomForest::randomForest(medv ~ ., data = MASS::Boston, ntree = 100)

golden <- MASS::Boston[c(1, 100, 400), setdiff(names(MASS::Boston), "medv")]
save_model(
  model, "boston", "Median house value (1000 USD) in Boston suburbs, random forest",
  golden, list(response = predict(model, golden))
)
