test_that("a princomp answers scores, and NA for a missing value", {
  served <- opened(princomp(USArrests, cor = TRUE))
  expect_identical(input_names(served), names(USArrests))
  expect_identical(served$description$outputs$scores$columns, paste0("Comp.", 1:4))
  frame <- with_missing(USArrests, names(USArrests))
  expect_scored(served, frame, "scores", bare(predict(served$model, frame)))
  expect_true(proof_of(served)$rowwise)
})

test_that("values to try are found whether or not a princomp keeps its scores", {
  near <- function(...) opened(princomp(USArrests, ...))$description$example$Assault
  expect_equal(near(), 159)
  expect_equal(near(scores = FALSE), 171)
})

test_that("a princomp of columns without names is refused with the cure", {
  expect_refused("no_schema", "had no names", opened(princomp(unname(as.matrix(USArrests)))))
})
