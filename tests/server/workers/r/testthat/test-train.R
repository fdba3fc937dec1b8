# Without systemd a package that caret loads warns of the time zone.
suppressWarnings(skip_if_not_installed("caret"))

once <- function(...) suppressWarnings(caret::train(..., trControl = caret::trainControl(method = "none")))

test_that("a tree by formula answers class and prob, and NA for a missing value", {
  skip_if_not_installed("rpart")
  served <- opened(once(Species ~ ., iris, method = "rpart", tuneGrid = data.frame(cp = 0.01)))
  expect_identical(served$description$package, "caret")
  expect_identical(names(served$description$outputs), c("class", "prob"))
  frame <- with_missing(iris[c(1:6, 51:60, 101:110), ], "Sepal.Length")
  expected <- c(NA, bare(predict(served$model, frame)))
  expect_scored(served, frame, "class", expected)
  prob <- predict(served$model, frame, type = "prob")
  expect_scored(served, frame[-1, ], "prob", bare(as.matrix(prob)))
  expect_true(proof_of(served)$rowwise)
})

test_that("raw variables of a formula are asked for, in their types", {
  cars <- transform(mtcars, cyl = factor(cyl), gear = as.integer(gear))
  served <- opened(once(mpg ~ log(wt) + poly(hp, 2) + factor(gear) + cyl, cars, method = "lm"))
  expect_identical(input_names(served), c("wt", "hp", "gear", "cyl"))
  expect_identical(input_types(served), c("numeric", "numeric", "numeric", "factor"))
  expect_identical(served$description$example$wt, 2.62)
  expect_scored(served, cars, "response", bare(predict(served$model, cars)))
})

test_that("missing values are imputed if the sidecar lets them through", {
  served <- opened(once(mpg ~ wt + hp, mtcars, method = "lm", preProcess = "medianImpute"))
  frame <- with_missing(mtcars, c("wt", "hp"))
  expected <- bare(predict(served$model, frame, na.action = na.pass))
  expect_false(anyNA(expected))
  expect_scored(served, frame, "response", expected, list(na.action = "na.pass"))
})

test_that("a forest's ties are decided alike every time", {
  skip_if_not_installed("randomForest")
  set.seed(1)
  served <- opened(once(iris[, "Sepal.Width", drop = FALSE], iris$Species, method = "rf", ntree = 2,
                        tuneGrid = data.frame(mtry = 1)))
  prob <- predict(served$model, iris, type = "prob")
  expect_true(any(prob[, 1] == prob[, 2]))
  expect_scored(served, iris, "class", levels(iris$Species)[max.col(prob, "first")])
})

test_that("a tie that R's random numbers break goes to the first class", {
  skip_if_not_installed("MASS")
  data <- data.frame(x = c(-2, -1, 1, 2), y = factor(c("a", "a", "b", "b")))
  served <- opened(once(y ~ x, data, method = "lda"))
  set.seed(1)
  before <- .Random.seed
  expect_scored(served, data.frame(x = c(0, -1, 1, 0)), "class", c("a", "a", "b", "a"))
  expect_identical(.Random.seed, before)
})

test_that("functions kept with the model find caret, attached or not", {
  kept <- function(modelFit, newdata, submodels = NULL) modelLookup(modelFit)$parameter
  environment(kept) <- globalenv()
  expect_error(kept("knn"), "modelLookup")
  expect_identical(as.character(tandem$supplied(kept, "caret")("knn")), "k")
  found <- function(modelFit, newdata, submodels = NULL) paste(modelFit)
  expect_identical(tandem$supplied(found, "caret"), found)
})

test_that("a model without a prototype and data is refused", {
  model <- once(iris[, 1:4], iris$Species, method = "rpart", tuneGrid = data.frame(cp = 0.01))
  model$ptype <- NULL
  model$trainingData <- NULL
  expect_refused("no_schema", "returnData", tandem$describe_model(tandem$open_model(as_file(model))))
})
