frame <- transform(mtcars, cyl = factor(cyl), gear = as.integer(gear), day = as.Date("2024-01-01") + seq_len(32))
columns <- c("wt", "cyl", "gear", "day")

paired <- function(model, prototype, ...) list(model = model, prototype = prototype, ...)

test_that("a model beside a prototype takes the prototype's columns", {
  model <- lm(mpg ~ wt + cyl + gear + day, frame)
  for (class in c("list", "vetiver_model")) {
    object <- paired(model, frame[0, columns], model_name = "cars", metadata = list(required_pkgs = "stats"))
    if (class == "vetiver_model") class(object) <- class
    served <- opened(object)
    expect_identical(input_names(served), columns)
    expect_identical(input_types(served), c("numeric", "factor", "integer", "date"))
    expect_identical(served$description$inputs[[2]]$levels, c("4", "6", "8"))
    expect_identical(served$description$package, "stats")
    expect_identical(served$description$example[c("wt", "cyl", "day")], list(wt = 2.62, cyl = "6", day = "2024-01-02"))
    expect_identical(takes_missing(served), rep(TRUE, 4))
    expect_scored(served, frame, "response", bare(predict(model, frame)))
    expect_true(proof_of(served)$rowwise)
  }
})

test_that("outputs and options are those of the model within, and its package is found", {
  served <- opened(paired(rpart::rpart(Species ~ ., iris), iris[1:10, -5]))
  expect_identical(names(served$description$outputs)[1:2], c("class", "prob"))
  expect_identical(served$description$example$Sepal.Length, 5.1)
  expect_identical(served$description$package, "rpart")
  expected <- predict(served$model$model, iris, type = "prob")
  expect_scored(served, iris[1:5, ], "prob", bare(expected[1:5, ]))
})

test_that("without a prototype the model within tells", {
  object <- structure(paired(lm(mpg ~ wt, mtcars), NULL), class = "vetiver_model")
  expect_identical(input_names(opened(object)), "wt")
})

test_that("what is wrong with the model within, or the prototype, is said", {
  expect_refused("not_a_model", "plain list", opened(paired(list(1), frame[0, ])))
  expect_refused("package_missing", "nosuchpkg", opened(
    paired(lm(mpg ~ wt, frame), frame[0, "wt", drop = FALSE], metadata = list(required_pkgs = "nosuchpkg"))
  ))
  odd <- data.frame(wt = I(list(1)))
  expect_refused("no_schema", "'wt'", opened(paired(lm(mpg ~ wt, frame), odd)))
})
