cars_by_cylinder <- transform(mtcars, cyl = factor(cyl))

test_that("an lm answers what predict says, with missing values", {
  served <- opened(lm(mpg ~ wt + hp + cyl, cars_by_cylinder))
  expect_identical(input_names(served), c("wt", "hp", "cyl"))
  expect_identical(input_types(served), c("numeric", "numeric", "factor"))
  expect_identical(served$description$inputs[[3]]$levels, c("4", "6", "8"))
  expect_identical(takes_missing(served), c(TRUE, TRUE, TRUE))
  expect_identical(served$description$example, list(wt = 2.62, hp = 110, cyl = "6"))
  expect_identical(served$description$default_output, "response")
  expect_identical(served$description$outputs$response, list(type = "number"))
  frame <- with_missing(cars_by_cylinder, c("wt", "hp", "cyl"))
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
  expect_true(proof_of(served)$rowwise)
})

test_that("an lm answers standard errors, intervals and terms", {
  served <- opened(lm(mpg ~ wt + hp + cyl, cars_by_cylinder, weights = qsec))
  expect_identical(names(served$description$outputs), c("response", "se", "confidence", "prediction", "terms"))
  expect_identical(served$description$outputs$se$columns, c("fit", "se"))
  expect_identical(served$description$outputs$terms$columns, c("wt", "hp", "cyl"))
  frame <- with_missing(cars_by_cylinder, c("wt", "hp", "cyl"))
  expected <- predict(served$model, frame, se.fit = TRUE)
  expect_scored(served, frame, "se", bare(cbind(fit = expected$fit, se = expected$se.fit)))
  for (interval in c("confidence", "prediction")) {
    expected <- suppressWarnings(predict(served$model, frame, interval = interval))
    expect_scored(served, frame, interval, bare(expected))
  }
  expect_scored(served, frame, "terms", bare(predict(served$model, frame, type = "terms")))
})

test_that("the level of an interval is an option", {
  served <- opened(lm(mpg ~ wt, mtcars))
  expect_identical(served$description$options$level[c("default", "minimum", "maximum")], list(
    default = 0.95, minimum = 0, maximum = 1
  ))
  expected <- predict(served$model, mtcars, interval = "prediction", level = 0.8)
  reply <- scorer_of(served)(as_columns(mtcars, served$description$inputs), "prediction", options = list(level = 0.8))
  expect_identical(restored(reply), bare(expected))
})

test_that("terms are offered where the file holds what predict() needs for them", {
  outputs <- function(...) names(opened(lm(mpg ~ wt + factor(cyl), mtcars, ...))$description$outputs)
  expect_false("terms" %in% outputs(model = FALSE))
  expect_true("terms" %in% outputs(model = FALSE, x = TRUE))
})

test_that("an lm without its QR decomposition is refused with the cure", {
  expect_refused("no_schema", "qr = TRUE", opened(lm(mpg ~ wt, mtcars, qr = FALSE)))
})

test_that("an heir with a predict method of its own is not asked for what that may not know", {
  registerS3method("predict", "made_up_lm", function(object, newdata) newdata$wt, asNamespace("graphics"))
  served <- opened(structure(lm(mpg ~ wt, mtcars), class = c("made_up_lm", "lm")))
  expect_identical(names(served$description$outputs), "response")
  expect_scored(served, mtcars, "response", mtcars$wt)
})

test_that("inputs are the raw variables, not the terms", {
  formula <- medv ~ poly(lstat, 2) + log(crim) * rm + I(age^2) + factor(rad) + offset(tax / 100)
  served <- opened(lm(formula, MASS::Boston))
  expect_identical(input_names(served), c("lstat", "crim", "rm", "age", "rad", "tax"))
  expect_identical(unique(input_types(served)), "numeric")
  example <- served$description$example
  expect_equal(example[c("lstat", "crim", "rm", "rad")], as.list(MASS::Boston[1, c("lstat", "crim", "rm", "rad")]))
  expect_scored(served, MASS::Boston[1:40, ], "response", bare(predict(served$model, MASS::Boston[1:40, ])))
  expect_true(proof_of(served)$rowwise)
})

test_that("a dot, text, logical and ordered columns keep their types", {
  frame <- data.frame(
    y = sin(1:60), text = rep(c("a", "b", "c"), 20), yes = rep(c(TRUE, FALSE), each = 30),
    size = factor(rep(c("S", "M", "L", "XL"), 15), c("S", "M", "L", "XL"), ordered = TRUE), `odd name` = cos(1:60),
    check.names = FALSE
  )
  served <- opened(lm(y ~ ., frame))
  expect_identical(input_names(served), c("text", "yes", "size", "odd name"))
  expect_identical(input_types(served), c("string", "logical", "ordered", "numeric"))
  expect_identical(served$description$inputs[[1]]$levels, c("a", "b", "c"))
  frame <- with_missing(frame, input_names(served))
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
  expect_true(proof_of(served)$rowwise)
})

test_that("constants of the formula are no inputs, and an offset argument is one", {
  fit <- function(degree) lm(mpg ~ poly(wt, degree) + I(hp * pi), mtcars, offset = qsec)
  served <- opened(fit(2))
  expect_identical(input_names(served), c("wt", "hp", "qsec"))
})

test_that("factor() of text asks for text, of numbers for numbers, and a comparison for text", {
  frame <- data.frame(y = sin(1:40), n = rep(c(1, 2, 10, 20), 10), t = rep(c("u", "v"), each = 20))
  frame$s <- rep(c("yes", "no", "no"), length.out = 40)
  served <- opened(lm(y ~ factor(n) + factor(t) + I(s == "yes"), frame))
  expect_identical(input_types(served), c("numeric", "string", "string"))
  expect_identical(served$description$inputs[[2]]$levels, c("u", "v"))
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
})

test_that("a function that the analyst had attached is supplied to the formula alone", {
  library(splines)
  model <- lm(mpg ~ ns(wt, 3) + hp, mtcars)
  expected <- bare(predict(model, mtcars))
  path <- as_file(model)
  detach("package:splines")
  model <- tandem$open_model(path)
  served <- list(model = model, description = tandem$describe_model(model))
  expect_scored(served, mtcars, "response", expected)
  expect_false("package:splines" %in% search())
  # ns() fails on a missing value that comes alone.
  expect_identical(takes_missing(served), c(FALSE, TRUE))
})

test_that("a model that keeps no model frame is described all the same", {
  served <- opened(lm(mpg ~ wt + factor(cyl), mtcars, model = FALSE))
  expect_identical(input_names(served), c("wt", "cyl"))
  expect_scored(served, mtcars, "response", bare(predict(served$model, mtcars)))
})

test_that("a model without inputs scores rows", {
  served <- opened(lm(mpg ~ 1, mtcars))
  expect_length(served$description$inputs, 0)
  expect_identical(scorer_of(served)(list(), "response", 3L)[[1]], rep(unname(coef(served$model)), 3))
  expect_true(proof_of(served)$rowwise)
})

test_that("a formula that names columns by $ is refused with the cure", {
  model <- tandem$open_model(as_file(lm(mtcars$mpg ~ mtcars$wt)))
  expect_refused("no_schema", "bare column names", tandem$describe_model(model))
})

test_that("predict arguments of a sidecar are passed on and seen in the outputs", {
  model <- tandem$open_model(as_file(lm(mpg ~ wt, mtcars)))
  arguments <- list(interval = "confidence", level = 0.9)
  served <- list(model = model, description = tandem$describe_model(model, arguments))
  expect_identical(served$description$outputs$response$columns, c("fit", "lwr", "upr"))
  expected <- predict(model, mtcars, interval = "confidence", level = 0.9)
  expect_scored(served, mtcars, "response", bare(expected), arguments)
})

test_that("what the first prediction warns of is told", {
  wary <- function(x) {
    warning("a weight as in 1974")
    x
  }
  fitted <- suppressWarnings(lm(mpg ~ wary(wt), mtcars))
  expect_match(opened(fitted)$description$warned, "a weight as in 1974")
  expect_length(opened(lm(mpg ~ wt, mtcars))$description$warned, 0L)
})
