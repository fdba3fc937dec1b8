skip_if_not_installed("MASS")

test_that("a qda answers class and prob, and NA for a missing value", {
  served <- opened(MASS::qda(Species ~ Sepal.Length + log(Petal.Width), iris))
  expect_identical(input_names(served), c("Sepal.Length", "Petal.Width"))
  expect_identical(names(served$description$outputs), c("class", "prob"))
  frame <- with_missing(iris[c(1:4, 51:60, 101:140), ], c("Sepal.Length", "Petal.Width"))
  expected <- suppressWarnings(predict(served$model, frame))
  expect_scored(served, frame, "class", bare(expected$class))
  expect_scored(served, frame, "prob", bare(expected$posterior))
  expect_true(proof_of(served)$rowwise)
})
