skip_if_not_installed("mlr")

cars_of <- transform(mtcars, gear = factor(gear), am = factor(am, labels = c("auto", "man")))[c("gear", "am", "wt")]

trained <- function(learner, task) {
  mlr::configureMlr(show.info = FALSE)
  mlr::train(learner, task)
}

test_that("classes and probabilities are taken out of mlr's answer, with the features' levels", {
  learner <- mlr::makeLearner("classif.rpart", predict.type = "prob")
  served <- opened(trained(learner, mlr::makeClassifTask(data = cars_of, target = "gear")))
  expect_identical(input_names(served), c("am", "wt"))
  expect_identical(served$description$inputs[[1]]$levels, c("auto", "man"))
  rows <- with_missing(cars_of[1:6, ], c("am", "wt"))
  said <- predict(served$model, newdata = rows[c("am", "wt")])$data
  expect_scored(served, rows, "class", as.character(said$response))
  prob <- as.matrix(said[c("prob.3", "prob.4", "prob.5")])
  dimnames(prob) <- list(NULL, c("3", "4", "5"))
  expect_scored(served, rows, "prob", prob)
})

test_that("a number has its standard error where the learner was asked for it, and a wrapper changes nothing", {
  learner <- mlr::makeLearner("regr.lm", predict.type = "se")
  served <- opened(trained(learner, mlr::makeRegrTask(data = cars_of, target = "wt")))
  expect_identical(names(served$description$outputs), c("response", "se"))
  wrapped <- mlr::makeImputeWrapper("classif.rpart", classes = list(numeric = mlr::imputeMedian()))
  served <- opened(trained(wrapped, mlr::makeClassifTask(data = cars_of, target = "am")))
  said <- predict(served$model, newdata = cars_of[1:6, ])$data$response
  expect_scored(served, cars_of[1:6, ], "class", as.character(said))
})

test_that("factors are ordered where all are, and asked about where some are", {
  ordered <- transform(cars_of, gear = factor(gear, ordered = TRUE))
  served <- opened(trained(mlr::makeLearner("regr.rpart"), mlr::makeRegrTask(data = ordered[-2], target = "wt")))
  expect_identical(input_types(served), "ordered")
  model <- trained(mlr::makeLearner("regr.rpart"), mlr::makeRegrTask(data = ordered, target = "wt"))
  expect_refused("no_schema", "which of its factors \\((am, gear|gear, am)\\) are ordered", opened(model))
})

test_that("a fit that failed is refused", {
  on.exit(mlr::configureMlr(on.learner.error = "stop"))
  mlr::configureMlr(on.learner.error = "quiet", show.info = FALSE)
  flat <- data.frame(y = factor(rep(1:2, 5)), x = 1)
  model <- mlr::train(mlr::makeLearner("classif.lda"), mlr::makeClassifTask(data = flat, target = "y"))
  expect_refused("not_a_model", "the learner failed when it was fitted", opened(model))
})
