# A missing value goes to a branch of its own. The number of trees is the best one, if the model knows which.

gbm_cars <- function() {
  rows <- mtcars[rep(1:32, 8), c("wt", "hp", "cyl", "gear")]
  rows$wt <- rows$wt * seq(-0.5, 2, length.out = 256)
  rows$cyl <- factor(rows$cyl)
  rows$gear <- factor(rows$gear, ordered = TRUE)
  rows$wt[1:3] <- c(NA, -1e9, 1e9)
  rows$hp[4:5] <- c(NA, 0)
  rows$cyl[6] <- NA
  rows$gear[7] <- NA
  rows[8, ] <- NA
  rownames(rows) <- NULL
  rows
}

gbm_data <- function() {
  cars <- transform(mtcars, cyl = factor(cyl), gear = factor(gear, ordered = TRUE))
  cars[rep(1:32, 3), ]
}

gbm_type <- function(type, ...) {
  asked <- list(...)
  function(model, rows) suppressMessages(do.call(predict, c(list(model, rows, type = type), asked)))
}

gbm_expect <- function(...) list(response = gbm_type("response", ...), link = gbm_type("link", ...))

case(
  "gbm-gaussian",
  fit = function() {
    gbm::gbm(mpg ~ wt + hp + cyl + gear, data = gbm_data(), distribution = "gaussian", n.trees = 60)
  },
  rows = gbm_cars,
  expect = gbm_expect(n.trees = 60)
)

case(
  "gbm-bernoulli",
  fit = function() {
    gbm::gbm(am ~ log(hp) + wt + factor(gear), data = mtcars, distribution = "bernoulli", n.trees = 80,
             n.minobsinnode = 3, keep.data = FALSE)
  },
  rows = function() {
    rows <- gbm_cars()[, c("wt", "hp", "gear")]
    rows$gear <- as.numeric(as.character(rows$gear))
    rows
  },
  expect = gbm_expect(n.trees = 17),
  options = list(n.trees = 17)
)

case(
  "gbm-test-part",
  fit = function() {
    gbm::gbm(hp ~ wt + cyl + mpg, data = gbm_data(), distribution = "poisson", n.trees = 100, train.fraction = 0.6)
  },
  rows = function() transform(gbm_cars()[, c("wt", "cyl")], mpg = seq(0, 50, length.out = 256)),
  expect = gbm_expect(n.trees = 12),
  options = list(n.trees = 12)
)

case(
  "gbm-best-of-test",
  fit = function() {
    gbm::gbm(mpg ~ wt + cyl, data = gbm_data(), distribution = "laplace", n.trees = 100, train.fraction = 0.7,
             shrinkage = 0.8)
  },
  rows = function() gbm_cars()[, c("wt", "cyl")],
  expect = gbm_expect()
)

case(
  "gbm-best-of-folds",
  fit = function() {
    gbm::gbm(am ~ wt + hp, data = gbm_data(), distribution = "adaboost", n.trees = 50, cv.folds = 2, n.cores = 1)
  },
  rows = function() gbm_cars()[, c("wt", "hp")],
  expect = gbm_expect()
)

case(
  "gbm-xy",
  fit = function() {
    cars <- gbm_data()
    gbm::gbm.fit(cars[, c("wt", "cyl", "gear")], cars$mpg, distribution = "gaussian", n.trees = 40, verbose = FALSE)
  },
  rows = function() gbm_cars()[, c("wt", "cyl", "gear")],
  expect = gbm_expect(n.trees = 40)
)

# A third dimension is the numbers of trees.
gbm_classes <- function(type) {
  force(type)
  function(model, rows) {
    answer <- predict(model, rows, n.trees = 30, type = type)
    matrix(answer, nrow(rows), dimnames = list(NULL, model$classes))
  }
}

case(
  "gbm-multinomial",
  fit = function() {
    suppressWarnings(gbm::gbm(Species ~ ., data = iris, distribution = "multinomial", n.trees = 30))
  },
  rows = function() {
    rows <- iris[rep(1:150, 2), 1:4]
    rows[1:3, 1] <- c(NA, 0, 1e300)
    rows[4, ] <- NA
    rownames(rows) <- NULL
    rows
  },
  expect = list(response = gbm_classes("response"), link = gbm_classes("link"))
)
