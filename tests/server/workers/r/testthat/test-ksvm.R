skip_if_not_installed("kernlab")

test_that("a classifier by formula answers class, prob and decision, and NA for a missing value", {
  set.seed(1)
  served <- opened(kernlab::ksvm(Species ~ ., iris, prob.model = TRUE))
  expect_identical(served$description$package, "kernlab")
  expect_identical(names(served$description$outputs), c("class", "prob", "decision"))
  expect_identical(takes_missing(served), rep(TRUE, 4))
  frame <- iris[c(1:6, 51:60, 101:110), ]
  expect_scored(served, frame, "class", bare(kernlab::predict(served$model, frame)))
  expect_scored(served, frame, "prob", bare(kernlab::predict(served$model, frame, type = "probabilities")))
  decision <- kernlab::predict(served$model, frame, type = "decision")
  colnames(decision) <- c("versicolor/setosa", "virginica/setosa", "virginica/versicolor")
  expect_scored(served, frame, "decision", decision)
  missing <- scorer_of(served)(as_columns(with_missing(frame, "Sepal.Length"), served$description$inputs), "class")
  expect_identical(which(is.na(missing[[1]])), 1L)
  expect_true(proof_of(served)$rowwise)
})

test_that("a positive decision speaks for the class named first", {
  served <- opened(kernlab::ksvm(Species ~ ., droplevels(iris[51:150, ])))
  expect_identical(names(served$description$outputs), c("class", "decision"))
  expect_identical(served$description$outputs$decision$columns, "virginica/versicolor")
  scorer <- scorer_of(served)
  columns <- as_columns(iris[51:150, ], served$description$inputs)
  expect_identical(scorer(columns, "class")[[1]], 1L + (scorer(columns, "decision")[[1]][[1]] > 0))
})

test_that("regressions and one class, by formula and by matrix", {
  cars <- transform(mtcars, cyl = factor(cyl), am = am == 1)
  served <- opened(kernlab::ksvm(mpg ~ log(wt) + cyl + am, cars))
  expect_identical(input_types(served), c("numeric", "factor", "logical"))
  expect_scored(served, cars, "response", bare(kernlab::predict(served$model, cars)))
  served <- opened(kernlab::ksvm(as.matrix(iris[1:50, 1:4]), type = "one-svc", nu = 0.1))
  expect_scored(served, iris[40:60, ], "class", bare(kernlab::predict(served$model, iris[40:60, 1:4])))
})

test_that("a formula may use functions of a package that was attached", {
  library(splines)
  path <- as_file(kernlab::ksvm(mpg ~ ns(wt, 2) + hp, mtcars))
  detach("package:splines")
  model <- tandem$open_model(path)
  expect_null(tandem$describe_model(model)$outputs$response$reason)
})

test_that("a model that does not tell its inputs is refused with the cure", {
  kernels <- kernlab::as.kernelMatrix(tcrossprod(as.matrix(iris[, 1:4])))
  model <- tandem$open_model(as_file(kernlab::ksvm(kernels, iris$Species)))
  expect_refused("no_schema", "kernel matrix", tandem$describe_model(model))
})
