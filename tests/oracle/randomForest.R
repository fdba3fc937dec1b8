# predict() breaks a tie between classes by chance, so the forests have an odd number of trees and two classes, or the
# rows are those without a tie.

forest_flowers <- function() {
  rows <- iris[rep(1:150, 2), 1:4]
  rows[151:300, ] <- rows[151:300, ] * 1.07
  rows[1, ] <- 0
  rows[2, ] <- -1e300
  rows[3, ] <- 1e300
  rownames(rows) <- NULL
  rows
}

forest_houses <- function() {
  rows <- MASS::Boston[seq(1, 506, 2), names(MASS::Boston) != "medv"]
  rows$lstat[1:3] <- c(NA, 0, 1e6)
  rows$rm[4] <- NA
  rows[5, ] <- NA
  rownames(rows) <- NULL
  rows
}

forest_cars <- function() {
  rows <- mtcars[rep(1:32, 8), c("wt", "hp", "cyl", "gear")]
  rows$wt <- rows$wt * seq(0.5, 1.5, length.out = 256)
  rows$cyl <- factor(rows$cyl)
  rows$gear <- factor(rows$gear, ordered = TRUE)
  rownames(rows) <- NULL
  rows
}

forest_type <- function(type) {
  force(type)
  function(model, rows) unclass(predict(model, rows, type = type))
}

forest_class <- function(model, rows) predict(model, rows)

case(
  "randomForest-regression",
  fit = function() randomForest::randomForest(medv ~ ., MASS::Boston, ntree = 40),
  rows = forest_houses,
  expect = list(response = forest_class)
)

case(
  "randomForest-regression-xy",
  fit = function() {
    flowers <- as.matrix(iris[, 2:4])
    randomForest::randomForest(flowers, iris$Sepal.Length, ntree = 30, corr.bias = TRUE, importance = TRUE)
  },
  rows = function() forest_flowers()[, 2:4],
  expect = list(response = forest_class)
)

case(
  "randomForest-classes-xy",
  fit = function() {
    flowers <- droplevels(iris[51:150, ])
    randomForest::randomForest(flowers[, 1:4], flowers$Species, ntree = 51)
  },
  rows = forest_flowers,
  expect = list(class = forest_class, prob = forest_type("prob"), votes = forest_type("vote"))
)

case(
  "randomForest-classes",
  fit = function() {
    cars <- transform(forest_cars()[1:32, ], am = factor(mtcars$am, labels = c("auto", "manual")))
    randomForest::randomForest(am ~ wt + hp + cyl, cars, ntree = 31, cutoff = c(0.4, 0.6))
  },
  rows = function() {
    rows <- forest_cars()[, c("wt", "hp", "cyl")]
    rows$wt[1:2] <- c(NA, 1e9)
    rows$hp[3] <- NA
    rows$cyl[4] <- NA
    rows
  },
  expect = list(
    class = forest_class,
    prob = forest_type("prob"),
    votes = function(model, rows) unclass(predict(model, rows, type = "vote", norm.votes = FALSE))
  ),
  options = list(norm.votes = FALSE)
)
