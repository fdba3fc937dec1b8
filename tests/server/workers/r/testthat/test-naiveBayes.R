skip_if_not_installed("e1071")

test_that("numbers, factors, logicals and text are known, and all may be missing", {
  data <- data.frame(
    n = c(1, 2, 3, 4, 5, 6), f = factor(c("a", "b", "a", "b", "a", "c")), l = c(TRUE, FALSE, TRUE, TRUE, FALSE, TRUE),
    s = c("x", "y", "x", "y", "y", "x"), y = factor(c("no", "yes", "no", "yes", "no", "yes"))
  )
  served <- opened(e1071::naiveBayes(y ~ ., data, laplace = 1))
  expect_identical(served$description$package, "e1071")
  expect_identical(input_names(served), c("n", "f", "l", "s"))
  expect_identical(input_types(served), c("numeric", "factor", "logical", "factor"))
  expect_identical(served$description$inputs[[4]]$levels, c("x", "y"))
  expect_identical(takes_missing(served), rep(TRUE, 4))
  frame <- with_missing(data[rep(1:6, 2), 1:4], names(data)[1:4])
  expect_scored(served, frame, "class", bare(predict(served$model, frame)))
  expect_scored(served, frame, "prob", bare(predict(served$model, frame, type = "raw")))
  expect_true(proof_of(served)$rowwise)
})

test_that("a contingency table has factors only", {
  served <- opened(e1071::naiveBayes(Survived ~ ., Titanic))
  expect_identical(served$description$inputs[[1]]$levels, dimnames(Titanic)$Class)
  frame <- as.data.frame(Titanic)[1:3]
  expect_scored(served, frame, "prob", bare(predict(served$model, frame, type = "raw")))
})
