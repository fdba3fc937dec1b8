skip_if_not_installed("glmnet")

cars <- as.matrix(mtcars[, c("wt", "hp", "cyl", "disp")])
fit <- function(...) glmnet::cv.glmnet(cars, mtcars$mpg, foldid = rep(1:4, 8), ...)

test_that("a cv.glmnet answers at lambda.1se, at lambda.min or at a number", {
  served <- opened(fit())
  expect_identical(served$description$package, "glmnet")
  expect_identical(served$description$options$s$default, "lambda.1se")
  frame <- with_missing(mtcars, c("wt", "disp"))
  newx <- as.matrix(frame[, colnames(cars)])
  expect_scored(served, frame, "response", bare(predict(served$model, newx)))
  best <- bare(predict(served$model, newx, s = "lambda.min"))
  expect_scored(served, frame, "response", best, list(s = "lambda.min"))
  number <- bare(predict(served$model, newx, s = 1 / 3))
  expect_scored(served, frame, "response", number, list(lambda = 1 / 3))
  expect_true(proof_of(served)$rowwise)
})

test_that("numbers that a sidecar gives as s are taken, also several", {
  served <- opened(fit())
  expect_scored(served, mtcars, "response", bare(predict(served$model, cars, s = 0.25)), list(s = 0.25))
  several <- bare(predict(served$model, cars, s = c(0.5, 0.25)))
  expect_scored(served, mtcars, "response", several, list(s = list(0.5, 0.25)))
})

test_that("a binomial one answers response, class and link", {
  served <- opened(glmnet::cv.glmnet(cars, mtcars$am, family = "binomial", foldid = rep(1:4, 8)))
  for (type in c("response", "class", "link")) {
    expect_scored(served, mtcars, type, bare(predict(served$model, cars, type = type)))
  }
})

test_that("a relaxed one takes the gamma that goes with its lambda", {
  served <- opened(fit(relax = TRUE, gamma = c(0, 0.5, 1)))
  expect_identical(names(served$description$options), c("s", "lambda", "gamma"))
  expect_scored(served, mtcars, "response", bare(predict(served$model, cars)))
  expected <- bare(predict(served$model, cars, s = "lambda.min", gamma = 0.5))
  expect_scored(served, mtcars, "response", expected, list(s = "lambda.min", gamma = 0.5))
})
