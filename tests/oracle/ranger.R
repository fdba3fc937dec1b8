# predict() draws the seed with which it breaks ties between classes; the forests here have an odd number of trees and
# two classes. Before 0.16 ranger refuses missing values, so none are sent.

ranger_flowers <- function() {
  rows <- iris[rep(1:150, 2), 1:4]
  rows[151:300, ] <- rows[151:300, ] * 1.07
  rows[1, ] <- 0
  rows[2, ] <- -1e300
  rows[3, ] <- 1e300
  rownames(rows) <- NULL
  rows
}

ranger_cars <- function() {
  rows <- mtcars[rep(1:32, 8), c("wt", "hp", "cyl")]
  rows$wt <- rows$wt * seq(0.5, 1.5, length.out = 256)
  rows$cyl <- factor(rows$cyl)
  rownames(rows) <- NULL
  rows
}

ranger_predicted <- function(model, rows) predict(model, rows, num.threads = 1)$predictions

ranger_quantiles <- function(...) {
  asked <- list(...)
  function(model, rows) {
    do.call(predict, c(list(model, rows, type = "quantiles", num.threads = 1), asked))$predictions
  }
}

ranger_survival <- function(model, rows) {
  answer <- predict(model, rows, num.threads = 1)
  matrix(answer$survival, nrow(rows), dimnames = list(NULL, answer$unique.death.times))
}

case(
  "ranger-regression",
  fit = function() {
    cars <- transform(ranger_cars()[1:32, ], mpg = mtcars$mpg)
    ranger::ranger(mpg ~ ., cars, num.trees = 40, num.threads = 1, seed = 1, respect.unordered.factors = "order")
  },
  rows = ranger_cars,
  expect = list(response = ranger_predicted)
)

case(
  "ranger-quantiles",
  fit = function() {
    ranger::ranger(Sepal.Length ~ Sepal.Width + Petal.Length + Petal.Width, iris,
                   num.trees = 40, num.threads = 1, seed = 1, quantreg = TRUE)
  },
  rows = ranger_flowers,
  expect = list(response = ranger_predicted, quantiles = ranger_quantiles())
)

case(
  "ranger-quantile",
  fit = function() {
    ranger::ranger(x = iris[, 2:4], y = iris[, 1], num.trees = 41, num.threads = 1, seed = 1, quantreg = TRUE)
  },
  rows = ranger_flowers,
  expect = list(response = ranger_predicted, quantiles = ranger_quantiles(quantiles = 0.25)),
  options = list(quantiles = 0.25)
)

case(
  "ranger-classes",
  fit = function() {
    ranger::ranger(Species ~ ., droplevels(iris[51:150, ]), num.trees = 51, num.threads = 1, seed = 1)
  },
  rows = ranger_flowers,
  expect = list(class = ranger_predicted)
)

case(
  "ranger-probability",
  fit = function() {
    ranger::ranger(Species ~ ., iris, num.trees = 30, num.threads = 1, seed = 1, probability = TRUE)
  },
  rows = ranger_flowers,
  expect = list(prob = ranger_predicted)
)

case(
  "ranger-survival",
  fit = function() {
    patients <- survival::veteran
    ranger::ranger(survival::Surv(time, status) ~ karno + age + prior, patients,
                   num.trees = 20, num.threads = 1, seed = 1, min.node.size = 10)
  },
  rows = function() {
    rows <- survival::veteran[rep(1:137, 2), c("karno", "age", "prior")]
    rows$age[1:3] <- c(0, -1e9, 1e9)
    rownames(rows) <- NULL
    rows
  },
  expect = list(survival = ranger_survival)
)
