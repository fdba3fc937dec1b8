# caret over models of several packages. trainControl(method = "none") fits once. From a formula, predict() leaves out
# rows with a missing value; the server answers NA.

# Attached, because caret's own models expect it.
train_once <- function(..., classProbs = FALSE) {
  suppressPackageStartupMessages(library(caret))
  train(..., trControl = trainControl(method = "none", classProbs = classProbs))
}

train_by_row <- function(model, rows, type) {
  complete <- complete.cases(rows)
  found <- predict(model, rows[complete, ], type = type)
  from <- match(seq_along(complete), which(complete))
  if (is.null(dim(found))) found[from] else found[from, ]
}

train_class <- function(model, rows) train_by_row(model, rows, "raw")
train_prob <- function(model, rows) train_by_row(model, rows, "prob")

train_flowers <- function() {
  rows <- iris[rep(1:150, 2), 1:4]
  rows[151:300, ] <- rows[151:300, ] + 0.05
  rows[200, 1] <- NA
  rows[201, ] <- NA
  rows[203, 4] <- 1e6
  rows[204, ] <- 0
  rows
}

case(
  "train-rpart",
  fit = function() train_once(Species ~ ., iris, method = "rpart", tuneGrid = data.frame(cp = 0.01)),
  rows = train_flowers,
  expect = list(class = train_class, prob = train_prob)
)

case(
  "train-svm-radial",
  fit = function() {
    train_once(iris[, 1:4], iris$Species, method = "svmRadial", preProcess = c("center", "scale"),
               tuneGrid = data.frame(sigma = 0.5, C = 1), classProbs = TRUE)
  },
  rows = train_flowers,
  expect = list(class = train_class, prob = train_prob)
)

# An odd number of votes for two classes: no ties.
case(
  "train-forest",
  fit = function() {
    train_once(factor(am, labels = c("auto", "manual")) ~ wt + hp + cyl, transform(mtcars, cyl = factor(cyl)),
               method = "rf", ntree = 51, tuneGrid = data.frame(mtry = 2))
  },
  rows = function() {
    rows <- transform(mtcars[rep(1:32, 8), c("wt", "hp", "cyl")], cyl = factor(cyl))
    rows$wt <- rows$wt * seq(0.5, 1.5, length.out = 256)
    rows$cyl[9] <- NA
    rows
  },
  expect = list(class = train_class, prob = train_prob)
)

case(
  "train-lm",
  fit = function() {
    train_once(mpg ~ log(wt) + poly(hp, 2) + factor(gear) + cyl, transform(mtcars, cyl = paste0("c", cyl)),
               method = "lm", preProcess = c("center", "scale"))
  },
  rows = function() {
    rows <- transform(mtcars[rep(1:32, 7), c("wt", "hp", "gear", "cyl")], cyl = paste0("c", cyl))
    rows$wt <- rows$wt * seq(0.5, 1.5, length.out = 224)
    rows$hp[1:3] <- c(NA, 0, 1e5)
    rows$cyl[4] <- NA
    rows$gear[5] <- NA
    rows
  },
  expect = list(response = train_class)
)

case(
  "train-imputed",
  fit = function() {
    train_once(mpg ~ wt + hp + qsec, mtcars, method = "lm", preProcess = c("medianImpute", "center", "scale"))
  },
  rows = function() {
    rows <- mtcars[rep(1:32, 7), c("wt", "hp", "qsec")]
    rows$wt[1:50] <- NA
    rows$hp[40:90] <- NA
    rows$qsec[80:100] <- NA
    rows
  },
  expect = list(response = function(model, rows) predict(model, rows, na.action = na.pass)),
  sidecar = "arguments: {na.action: na.pass}"
)

case(
  "train-knn",
  fit = function() train_once(iris[, 1:4], iris$Species, method = "knn", tuneGrid = data.frame(k = 1)),
  rows = function() train_flowers()[-(200:201), ],
  expect = list(class = function(model, rows) predict(model, rows),
                prob = function(model, rows) predict(model, rows, type = "prob"))
)

case(
  "train-recipe",
  fit = function() {
    recipe <- recipes::recipe(mpg ~ wt + hp + cyl, transform(mtcars, cyl = factor(cyl)))
    recipe <- recipes::step_dummy(recipes::step_log(recipe, hp), cyl)
    caret::train(recipe, transform(mtcars, cyl = factor(cyl)), method = "lm",
                 trControl = caret::trainControl(method = "none"))
  },
  rows = function() {
    rows <- transform(mtcars[rep(1:32, 7), c("wt", "hp", "cyl")], cyl = factor(cyl))
    rows$wt <- rows$wt * seq(0.5, 1.5, length.out = 224)
    rows$wt[9] <- NA
    rows
  },
  expect = list(response = function(model, rows) predict(model, rows))
)
