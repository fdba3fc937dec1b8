test_that("a prcomp answers scores, and NA for a missing value", {
  served <- opened(prcomp(USArrests, scale. = TRUE))
  expect_identical(input_names(served), names(USArrests))
  expect_identical(served$description$outputs$scores$columns, paste0("PC", 1:4))
  frame <- with_missing(USArrests, names(USArrests))
  expect_scored(served, frame, "scores", bare(predict(served$model, frame)))
  expect_true(proof_of(served)$rowwise)
})

test_that("values to try are found whatever a prcomp keeps of its data", {
  near <- function(...) opened(prcomp(USArrests, ...))$description$example$Assault
  expect_equal(near(), 159)
  expect_equal(near(center = FALSE), 159)
  expect_equal(near(retx = FALSE, rank. = 2), 171)
})

test_that("a prcomp by formula wants the columns that the formula made, as predict() does", {
  served <- opened(prcomp(~ log(Murder) + Rape, USArrests))
  expect_identical(input_names(served), c("log(Murder)", "Rape"))
})

test_that("a prcomp of columns without names is refused with the cure", {
  expect_refused("no_schema", "column names", opened(prcomp(unname(as.matrix(USArrests)))))
})
