skip_if_not_installed("MASS")

test_that("a glm.nb is answered as a glm, by MASS", {
  served <- opened(MASS::glm.nb(Days ~ Eth + Age, MASS::quine))
  expect_identical(served$description$package, "MASS")
  expect_identical(names(served$description$outputs), c("response", "link", "se", "terms"))
  frame <- with_missing(MASS::quine[1:30, ], c("Eth", "Age"))
  for (type in c("response", "link", "terms")) {
    expect_scored(served, frame, type, bare(predict(served$model, frame, type = type)))
  }
  expect_true(proof_of(served)$rowwise)
})
