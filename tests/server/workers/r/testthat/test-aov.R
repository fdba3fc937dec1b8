test_that("an aov is answered as an lm", {
  served <- opened(aov(yield ~ block + N * P, npk))
  expect_identical(names(served$description$outputs), c("response", "se", "confidence", "prediction", "terms"))
  frame <- with_missing(npk[c("block", "N", "P")], c("block", "N", "P"))
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
  expect_scored(served, frame, "terms", bare(predict(served$model, frame, type = "terms")))
  expect_true(proof_of(served)$rowwise)
})

test_that("an aov of several responses is answered as an mlm", {
  served <- opened(aov(cbind(mpg, qsec) ~ factor(cyl), mtcars))
  expect_identical(names(served$description$outputs), "response")
  expect_scored(served, mtcars, "response", bare(predict(served$model, mtcars)))
})

test_that("an aov with an Error() term is refused with the cure", {
  expect_refused("no_schema", "Error\\(\\)", opened(aov(yield ~ N * P * K + Error(block), npk)))
})
