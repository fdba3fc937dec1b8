skip_if_not_installed("nnet")

grown <- function(...) {
  set.seed(1)
  nnet::nnet(..., size = 2, decay = 1e-3, trace = FALSE)
}

test_that("an nnet of numbers answers response, and NA for a missing value", {
  served <- opened(grown(mpg / 40 ~ wt + factor(cyl), mtcars))
  expect_identical(names(served$description$outputs), "response")
  frame <- with_missing(mtcars, c("wt", "cyl"))
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
  expect_true(proof_of(served)$rowwise)
})

test_that("an nnet of classes answers class and prob, of two classes the second's", {
  frame <- with_missing(iris[c(1:4, 51:60, 101:110), ], names(iris)[1:2])
  three <- opened(grown(Species ~ ., iris))
  expect_identical(three$description$outputs$prob$columns, levels(iris$Species))
  two <- opened(grown(Species ~ ., droplevels(iris[1:100, ])))
  expect_identical(two$description$outputs$prob, list(type = "number"))
  for (served in list(three, two)) {
    expect_scored(served, frame, "class", as.vector(predict(served$model, frame, type = "class")))
    expect_scored(served, frame, "prob", bare(predict(served$model, frame)))
    expect_true(proof_of(served)$rowwise)
  }
})

test_that("an nnet fitted with x and y is refused with the cure, and served with the inputs of a sidecar", {
  model <- grown(iris[1:4], iris$Sepal.Length / 10)
  expect_refused("no_schema", "sidecar", opened(model))
  inputs <- lapply(names(iris)[1:4], function(name) list(name = name, type = "numeric", levels = NULL, na = FALSE))
  served <- list(model = model, description = tandem$describe_model(model, inputs = inputs))
  expect_scored(served, iris[1:9, ], "response", bare(predict(model, iris[1:9, 1:4])))
})
