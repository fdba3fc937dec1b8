skip_if_not_installed("MASS")

test_that("a polr answers class and prob, a single row too, and NA for a missing value", {
  served <- opened(MASS::polr(Sat ~ Infl + Type + Cont, MASS::housing, weights = Freq))
  expect_identical(input_names(served), c("Infl", "Type", "Cont"))
  expect_identical(served$description$outputs$class$levels, c("Low", "Medium", "High"))
  frame <- with_missing(MASS::housing, c("Infl", "Type", "Cont"))
  expect_scored(served, frame, "class", bare(predict(served$model, frame)))
  expect_scored(served, frame, "prob", bare(predict(served$model, frame, type = "probs")))
  expect_true(proof_of(served)$rowwise)
})
