skip_if_not_installed("nnet")

test_that("a multinom answers class and prob, also for rows of which none is complete", {
  served <- opened(nnet::multinom(Species ~ Sepal.Length + Sepal.Width, iris, trace = FALSE))
  expect_identical(served$description$default_output, "class")
  expect_identical(takes_missing(served), c(TRUE, TRUE))
  frame <- with_missing(iris[c(1:4, 51:60, 101:110), ], c("Sepal.Length", "Sepal.Width"))
  expect_scored(served, frame, "class", bare(predict(served$model, frame)))
  expect_scored(served, frame, "prob", bare(predict(served$model, frame, type = "probs")))
  expect_true(proof_of(served)$rowwise)
})

test_that("a multinom of two classes answers the probability of the second", {
  served <- opened(nnet::multinom(am ~ wt, transform(mtcars, am = factor(am)), trace = FALSE))
  frame <- with_missing(mtcars, "wt")
  expect_scored(served, frame, "class", bare(predict(served$model, frame)))
  expect_scored(served, frame, "prob", bare(predict(served$model, frame, type = "probs")))
})

test_that("an error that is not for missing values stays one", {
  served <- opened(nnet::multinom(Species ~ Sepal.Length, iris, trace = FALSE))
  expect_match(scorer_of(served)(list(c(5, Inf)), "class")[[5]], "NA/NaN/Inf")
})
