skip_if_not_installed("MASS")

test_that("an lda answers class, prob and scores, and NA for a missing value", {
  served <- opened(MASS::lda(Species ~ ., iris))
  expect_identical(served$description$package, "MASS")
  expect_identical(served$description$default_output, "class")
  expect_identical(served$description$outputs$class$levels, levels(iris$Species))
  expect_identical(served$description$outputs$scores$columns, c("LD1", "LD2"))
  frame <- with_missing(iris[c(1:4, 51:60, 101:140), ], names(iris)[1:4])
  expected <- suppressWarnings(predict(served$model, frame))
  expect_scored(served, frame, "class", bare(expected$class))
  expect_scored(served, frame, "prob", bare(expected$posterior))
  expect_scored(served, frame, "scores", bare(expected$x))
  expect_true(proof_of(served)$rowwise)
})

test_that("an lda from a matrix takes its columns, and the method of prediction is an option", {
  served <- opened(MASS::lda(as.matrix(iris[1:4]), iris$Species))
  expect_identical(input_names(served), names(iris)[1:4])
  expect_identical(served$description$options$method$values, c("plug-in", "predictive", "debiased"))
  for (method in c("predictive", "debiased")) {
    expected <- predict(served$model, iris[1:4], method = method)$posterior
    expect_scored(served, iris[c(1, 60, 140), ], "prob", bare(expected[c(1, 60, 140), ]), list(method = method))
  }
  expect_identical(input_names(opened(MASS::lda(unname(as.matrix(iris[1:2])), iris$Species))), c("1", "2"))
})

test_that("of two classes that are as likely the first is answered, and no random numbers are drawn", {
  frame <- data.frame(x = c(-2, -1, 1, 2), group = c("a", "a", "b", "b"))
  served <- opened(MASS::lda(group ~ x, frame))
  scorer <- scorer_of(served)
  set.seed(1)
  before <- .Random.seed
  expect_identical(scorer(list(rep(0, 20)), "class")[[1]], rep(1L, 20))
  expect_identical(.Random.seed, before)
  expect_true(proof_of(served)$rowwise)
})
