skip_if_not_installed("e1071")

test_that("a classifier by formula answers class, prob and decision, and NA for a missing value", {
  set.seed(1)
  served <- opened(e1071::svm(Species ~ ., iris, probability = TRUE))
  expect_identical(served$description$package, "e1071")
  expect_identical(names(served$description$outputs), c("class", "prob", "decision"))
  expect_identical(served$description$outputs$class$levels, levels(iris$Species))
  expect_identical(takes_missing(served), rep(TRUE, 4))
  frame <- with_missing(iris[c(1:6, 51:60, 101:110), ], names(iris)[1:4])
  expected <- predict(served$model, frame[1:4], probability = TRUE, decision.values = TRUE, na.action = na.exclude)
  expect_scored(served, frame, "class", bare(predict(served$model, frame[1:4], na.action = na.exclude)))
  expect_scored(served, frame, "prob", bare(attr(expected, "probabilities")))
  expect_scored(served, frame, "decision", bare(attr(expected, "decision.values")))
  expect_true(proof_of(served)$rowwise)
})

test_that("the decision of two classes tells for which of them it speaks, and needs no formula", {
  served <- opened(e1071::svm(iris[51:150, 1:4], droplevels(iris$Species[51:150])))
  expect_identical(names(served$description$outputs), c("class", "decision"))
  expect_identical(served$description$outputs$decision$columns, "versicolor/virginica")
  expect_identical(served$description$example$Sepal.Width, 3.1)
  expect_scored(served, iris[45:60, ], "class", bare(predict(served$model, iris[45:60, 1:4])))
})

test_that("factors and text that stand first are known by their levels", {
  cars <- transform(mtcars, cyl = factor(cyl), am = am == 1)
  served <- opened(e1071::svm(mpg ~ log(wt) + cyl + hp + am, cars))
  expect_identical(input_types(served), c("numeric", "factor", "numeric", "logical"))
  expect_identical(served$description$inputs[[2]]$levels, c("4", "6", "8"))
  expect_scored(served, cars, "response", bare(predict(served$model, cars)))
  served <- opened(e1071::svm(mpg ~ wt + cyl, transform(mtcars, cyl = paste0("c", cyl))))
  expect_identical(served$description$inputs[[2]]$levels, c("c4", "c6", "c8"))
})

test_that("a one-class svm tells whether a row is like the others", {
  served <- opened(e1071::svm(as.matrix(iris[1:50, 1:4]), nu = 0.1))
  expect_scored(served, iris[40:60, ], "class", bare(predict(served$model, iris[40:60, 1:4])))
  expect_identical(served$description$outputs$decision, list(type = "number"))
})

test_that("a model that does not tell its inputs is refused with the cure", {
  cars <- transform(mtcars, cyl = factor(cyl), gear = factor(paste("g", gear)))
  described <- function(model) tandem$describe_model(tandem$open_model(as_file(model)))
  expect_refused("no_schema", "factor 'gear'.*sidecar", described(e1071::svm(mpg ~ cyl + gear, cars)))
  alone <- e1071::svm(mpg ~ gear, cars)
  if (is.null(alone$xlevels)) { # newer versions of e1071 keep the levels
    expect_refused("no_schema", "factor 'gear'.*sidecar", described(alone))
  }
  expect_refused("no_schema", "factor\\(vs\\).*make the column a factor", described(e1071::svm(mpg ~ factor(vs), cars)))
  expect_refused("no_schema", "fit it with a formula", described(e1071::svm(unname(as.matrix(iris[1:50, 1:4])))))
})
