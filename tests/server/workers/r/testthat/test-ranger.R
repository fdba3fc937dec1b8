skip_if_not_installed("ranger")

# From 0.16 on, ranger predicts rows with missing values and remembers the levels of factors.
newer <- utils::packageVersion("ranger") >= "0.16.0"

bare_ranger <- function(model, frame) bare(predict(model, frame, num.threads = 1, seed = 1)$predictions)

test_that("a regression forest answers response and takes missing values if this ranger does", {
  served <- opened(ranger::ranger(medv ~ ., MASS::Boston, num.trees = 50, seed = 1, num.threads = 1))
  expect_identical(unique(takes_missing(served)), newer)
  expect_scored(served, MASS::Boston[1:40, ], "response", bare_ranger(served$model, MASS::Boston[1:40, ]))
  expect_true(proof_of(served)$rowwise)
})

test_that("a classification forest answers class, a probability forest prob", {
  served <- opened(ranger::ranger(Species ~ ., iris, num.trees = 10, seed = 1, num.threads = 1))
  expect_identical(served$description$outputs$class$levels, levels(iris$Species))
  expect_scored(served, iris, "class", bare_ranger(served$model, iris))
  expect_true(proof_of(served)$rowwise)
  served <- opened(ranger::ranger(Species ~ ., iris, num.trees = 10, seed = 1, num.threads = 1, probability = TRUE))
  expect_identical(served$description$outputs$prob$columns, levels(iris$Species))
  expect_scored(served, iris, "prob", bare_ranger(served$model, iris))
  expect_true(proof_of(served)$rowwise)
})

grown <- function(frame, ...) {
  ranger::ranger(x = frame[, c("wt", "cyl")], y = frame$mpg, num.trees = 20, seed = 1, num.threads = 1, ...)
}

test_that("factors keep their levels where ranger does, and R's random numbers are not touched", {
  cars <- transform(mtcars, cyl = factor(cyl))
  model <- grown(cars, respect.unordered.factors = "order")
  served <- opened(model)
  expect_identical(input_types(served), c("numeric", "factor"))
  expect_setequal(served$description$inputs[[2]]$levels, c("4", "6", "8"))
  set.seed(5)
  before <- .Random.seed
  expect_scored(served, cars, "response", bare(predict(model, cars, num.threads = 1, seed = 1)$predictions))
  expect_identical(.Random.seed, before)
  expect_scored(served, cars, "response", bare_ranger(model, cars), list(num.threads = 2))
})

test_that("levels that ranger forgot can be stated by a sidecar", {
  cars <- transform(mtcars, cyl = factor(cyl))
  model <- grown(cars)
  expect_identical(input_types(opened(model)), c("numeric", if (newer) "factor" else "numeric"))
  inputs <- list(
    list(name = "wt", type = "numeric", levels = NULL, na = FALSE),
    list(name = "cyl", type = "factor", levels = c("4", "6", "8"), na = FALSE)
  )
  served <- list(model = model, description = tandem$describe_model(model, inputs = inputs))
  expect_scored(served, cars, "response", bare_ranger(model, cars))
  expect_true(proof_of(served)$rowwise)
})

test_that("a quantile forest answers quantiles, three or the one asked for, without touching R's random numbers", {
  served <- opened(grown(mtcars, quantreg = TRUE))
  expect_identical(names(served$description$outputs), c("response", "quantiles"))
  expected <- function(...) bare(predict(served$model, mtcars, type = "quantiles", num.threads = 1, ...)$predictions)
  three <- expected()
  one <- expected(quantiles = 0.25)
  set.seed(5)
  before <- .Random.seed
  expect_scored(served, mtcars, "quantiles", three)
  expect_scored(served, mtcars, "quantiles", one, list(quantiles = 0.25))
  expect_scored(served, mtcars, "response", bare_ranger(served$model, mtcars), list(quantiles = 0.25))
  expect_identical(.Random.seed, before)
  expect_true(proof_of(served)$rowwise)
})

test_that("a survival forest answers survival by time, of one row too", {
  skip_if_not_installed("survival")
  formula <- survival::Surv(time, status) ~ age + sex
  served <- opened(ranger::ranger(formula, survival::lung, num.trees = 10, seed = 1, num.threads = 1))
  answer <- predict(served$model, survival::lung, num.threads = 1)
  expected <- answer$survival
  colnames(expected) <- answer$unique.death.times
  expect_scored(served, survival::lung[1:30, ], "survival", bare(expected[1:30, ]))
  expect_true(proof_of(served)$rowwise)
})
