skip_if_not_installed("randomForest")

test_that("a regression forest by formula answers response, and NA for a missing value", {
  set.seed(1)
  served <- opened(randomForest::randomForest(medv ~ ., MASS::Boston, ntree = 50))
  expect_identical(input_names(served), setdiff(names(MASS::Boston), "medv"))
  expect_identical(unique(takes_missing(served)), TRUE)
  expect_identical(served$description$example$chas, 0)
  frame <- with_missing(MASS::Boston[1:40, ], c("crim", "zn"))
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
  expect_true(proof_of(served)$rowwise)
})

test_that("a classification forest by x and y refuses missing values", {
  set.seed(1)
  served <- opened(randomForest::randomForest(iris[, -5], iris$Species, ntree = 51))
  expect_identical(takes_missing(served), rep(FALSE, 4))
  expect_identical(served$description$outputs$class$levels, levels(iris$Species))
  votes <- predict(served$model, iris, type = "vote", norm.votes = FALSE)
  decided <- iris[apply(votes, 1, function(v) sum(v == max(v))) == 1, ]
  expect_gt(nrow(decided), 140)
  for (type in c("class", "prob")) {
    expected <- predict(served$model, decided, type = if (type == "class") "response" else type)
    expect_scored(served, decided, type, bare(expected))
  }
  expect_true(proof_of(served)$rowwise)
})

test_that("a tie between classes is decided alike every time, within predict's own answers", {
  set.seed(1)
  served <- opened(randomForest::randomForest(Species ~ Sepal.Width, iris, ntree = 2))
  votes <- predict(served$model, iris, type = "vote", norm.votes = FALSE)
  expect_true(any(votes[, 1] == votes[, 2]))
  scorer <- scorer_of(served)
  columns <- as_columns(iris, served$description$inputs)
  codes <- scorer(columns, "class")[[1]]
  expect_identical(codes, scorer(columns, "class")[[1]])
  expect_true(all(votes[cbind(1:150, codes)] == apply(votes, 1, max)))
  expect_true(proof_of(served)$rowwise)
})

test_that("factors and a cutoff of the sidecar are heeded", {
  set.seed(1)
  cars <- transform(mtcars, cyl = factor(cyl), am = factor(am, labels = c("auto", "manual")))
  served <- opened(randomForest::randomForest(am ~ wt + cyl, cars, ntree = 51))
  expect_identical(served$description$inputs[[2]]$levels, c("4", "6", "8"))
  cutoff <- c(0.9, 0.1)
  expected <- predict(served$model, cars, cutoff = cutoff)
  expect_scored(served, cars, "class", bare(expected), list(cutoff = as.list(cutoff)))
})

test_that("votes are shares of the trees, or their number if the request says so", {
  set.seed(1)
  served <- opened(randomForest::randomForest(iris[, -5], iris$Species, ntree = 25))
  frame <- iris[c(1:5, 60:65, 120:130), ]
  for (shares in c(TRUE, FALSE)) {
    expected <- unclass(predict(served$model, frame, type = "vote", norm.votes = shares))
    expect_scored(served, frame, "votes", bare(expected), list(norm.votes = shares))
  }
  expected <- unclass(predict(served$model, frame, type = "prob"))
  expect_scored(served, frame, "prob", bare(expected), list(norm.votes = FALSE))
})

test_that("a forest without its trees is refused with the cure", {
  set.seed(1)
  model <- randomForest::randomForest(medv ~ ., MASS::Boston, ntree = 5, keep.forest = FALSE)
  expect_refused("no_schema", "keep.forest = TRUE", opened(model))
})

test_that("an unsupervised forest is refused", {
  set.seed(1)
  model <- tandem$open_model(as_file(randomForest::randomForest(iris[, -5], ntree = 5)))
  expect_refused("no_schema", "unsupervised", tandem$describe_model(model))
})
