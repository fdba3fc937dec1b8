skip_if_not_installed("rpart")

test_that("a classification tree answers class and prob, with missing values", {
  served <- opened(rpart::rpart(Species ~ ., iris))
  expect_identical(served$description$package, "rpart")
  expect_identical(served$description$default_output, "class")
  expect_identical(served$description$outputs$class, list(type = "label", levels = levels(iris$Species)))
  expect_identical(served$description$outputs$prob$columns, levels(iris$Species))
  expect_identical(takes_missing(served), rep(TRUE, 4))
  frame <- with_missing(iris[c(1:4, 51:60, 101:110), ], names(iris)[1:4])
  for (type in c("class", "prob")) {
    expect_scored(served, frame, type, bare(predict(served$model, frame, type = type)))
  }
  expect_true(proof_of(served)$rowwise)
})

test_that("a regression tree answers response, also with factors", {
  served <- opened(rpart::rpart(mpg ~ wt + hp + cyl, transform(mtcars, cyl = factor(cyl))))
  expect_identical(input_types(served), c("numeric", "numeric", "factor"))
  frame <- transform(mtcars, cyl = factor(cyl))
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
  expect_true(proof_of(served)$rowwise)
})

test_that("a tree that is only its root has inputs and answers", {
  served <- opened(rpart::rpart(Species ~ Sepal.Length, iris, cp = 1))
  expect_identical(input_names(served), "Sepal.Length")
  expect_scored(served, iris[1:3, ], "prob", bare(predict(served$model, iris[1:3, ])))
})
