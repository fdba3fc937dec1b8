test_that("an lm with several responses answers a column for each", {
  served <- opened(lm(cbind(mpg, qsec) ~ wt + factor(cyl), mtcars))
  expect_identical(served$description$outputs, list(
    response = list(type = "columns", columns = c("mpg", "qsec"), of = "number")
  ))
  expect_length(served$description$options, 0)
  frame <- with_missing(mtcars, c("wt", "cyl"))
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
  expect_true(proof_of(served)$rowwise)
})
