skip_if_not_installed("glmnet")

cars <- as.matrix(mtcars[, c("wt", "hp", "cyl", "disp")])
flowers <- as.matrix(iris[, 1:4])

# A response of several classes has a third dimension, of one s.
one_s <- function(answer) bare(matrix(answer, nrow(answer), dimnames = list(NULL, dimnames(answer)[[2]])))

test_that("a gaussian path takes numbers by the names of its coefficients, and a column per lambda or one s", {
  served <- opened(glmnet::glmnet(cars, mtcars$mpg, nlambda = 10))
  expect_identical(input_names(served), colnames(cars))
  expect_identical(names(served$description$outputs), "response")
  expect_identical(served$description$outputs$response$columns[1:2], c("s0", "s1"))
  frame <- with_missing(mtcars, c("wt", "disp"))
  newx <- as.matrix(frame[, colnames(cars)])
  expect_scored(served, frame, "response", bare(predict(served$model, newx)))
  expect_scored(served, frame, "response", bare(predict(served$model, newx, s = 0.3)), list(s = 0.3))
  several <- bare(predict(served$model, newx, s = c(0.3, 0.1)))
  expect_scored(served, frame, "response", several, list(s = list(0.3, 0.1)))
  expect_true(proof_of(served)$rowwise)
})

test_that("a binomial one answers response, class and link", {
  served <- opened(glmnet::glmnet(flowers[51:150, ], droplevels(iris$Species[51:150]), family = "binomial"))
  arguments <- list(s = 0.01)
  frame <- with_missing(iris[1:60, ], colnames(flowers))
  newx <- as.matrix(frame[, 1:4])
  for (type in c("response", "link", "class")) {
    expect_scored(served, frame, type, bare(predict(served$model, newx, s = 0.01, type = type)), arguments)
  }
  outputs <- tandem$describe_model(served$model, arguments)$outputs
  expect_identical(outputs$class, list(type = "label", levels = c("versicolor", "virginica")))
})

test_that("a multinomial one answers a value per class, and classes where predict() itself fails on missing values", {
  served <- opened(glmnet::glmnet(flowers, iris$Species, family = "multinomial"))
  arguments <- list(s = 0.01)
  for (type in c("response", "link")) {
    expect_scored(served, iris, type, one_s(predict(served$model, flowers, s = 0.01, type = type)), arguments)
  }
  expect_scored(served, iris, "class", bare(predict(served$model, flowers, s = 0.01, type = "class")), arguments)
  one_known <- list(c(5, NA), c(3, NA), c(1, NA), c(0.2, NA))
  reply <- scorer_of(served, arguments)(one_known, "class")
  expect_identical(reply[c(1, 3)], list(c(1L, NA), levels(iris$Species)))
  path <- predict(served$model, flowers[1:20, ], type = "class")
  reply <- scorer_of(served)(as_columns(iris[1:20, ], served$description$inputs), "class")
  expect_identical(matrix(unlist(reply[[1]]), 20), matrix(path, 20))
  expect_identical(reply[[2]], colnames(served$model$beta[[1]]))
})

test_that("an offset is an input of its own, and one for several responses is refused", {
  served <- opened(glmnet::glmnet(cars, mtcars$carb, family = "poisson", offset = log(mtcars$qsec)))
  expect_identical(input_names(served), c(colnames(cars), "newoffset"))
  frame <- transform(mtcars, newoffset = log(qsec))
  expected <- predict(served$model, cars, s = 0.1, type = "response", newoffset = log(mtcars$qsec))
  expect_scored(served, frame, "response", bare(expected), list(s = 0.1))
  offset <- matrix(0.5, 150, 3)
  model <- glmnet::glmnet(flowers, iris$Species, family = "multinomial", offset = offset)
  expect_refused("no_schema", "fit it without", opened(model))
})

test_that("a relaxed path has an option gamma", {
  served <- opened(glmnet::glmnet(cars, mtcars$mpg, relax = TRUE))
  expect_identical(names(served$description$options), c("s", "gamma"))
  expected <- predict(served$model, cars, s = 0.3, gamma = 0.5)
  expect_scored(served, mtcars, "response", bare(expected), list(s = 0.3, gamma = 0.5))
})
