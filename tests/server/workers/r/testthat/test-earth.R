skip_if_not_installed("earth")

cars <- transform(mtcars, cyl = factor(cyl), am = factor(am, labels = c("auto", "manual")))

test_that("an earth answers response and link, with missing values", {
  served <- opened(earth::earth(mpg ~ log(wt) + hp + cyl, cars, degree = 2))
  expect_identical(input_types(served), c("numeric", "numeric", "factor"))
  expect_identical(names(served$description$outputs), c("response", "link"))
  frame <- with_missing(cars, c("wt", "hp"))
  for (type in c("response", "link")) {
    expect_scored(served, frame, type, bare(predict(served$model, frame, type = type)))
  }
  expect_true(proof_of(served)$rowwise)
})

test_that("a binomial one answers class too, and NA where the response is", {
  frame <- data.frame(hp = sin(1:100), carb = cos(3 * 1:100))
  frame$am <- factor(ifelse(frame$hp + 3 * sin((1:100)^2) > 0, "manual", "auto"))
  served <- opened(earth::earth(am ~ hp + carb, frame, glm = list(family = binomial)))
  expect_identical(served$description$outputs$class, list(type = "label", levels = c("auto", "manual")))
  frame <- with_missing(frame[1:30, ], c("hp", "carb"))
  expect_scored(served, frame, "response", bare(predict(served$model, frame, type = "response")))
  known <- !is.na(predict(served$model, frame, type = "response"))
  expected <- rep(NA_character_, nrow(frame))
  expected[known] <- predict(served$model, frame[known, ], type = "class")
  expect_scored(served, frame, "class", expected)
})

test_that("one made from x and y is described, unless it has factors", {
  served <- opened(earth::earth(mtcars[, c("wt", "hp")], mtcars$mpg))
  expect_identical(input_names(served), c("wt", "hp"))
  expect_scored(served, mtcars, "response", bare(predict(served$model, mtcars[, c("wt", "hp")])))
  expect_refused("no_schema", "formula", opened(earth::earth(cars[, c("wt", "cyl")], cars$mpg)))
})
