test_that("factors have the levels of the model's contrasts, and the groups of a correlation are no inputs", {
  data <- transform(nlme::Oats, big = factor(yield > 100))
  model <- nlme::gls(
    yield ~ nitro * Variety + factor(big), as.data.frame(data), correlation = nlme::corCompSymm(form = ~ 1 | Block)
  )
  served <- opened(model)
  expect_identical(input_names(served), c("nitro", "Variety", "big"))
  expect_identical(served$description$inputs[[2]]$levels, levels(nlme::Oats$Variety))
  expect_scored(served, data[1:20, ], "response", bare(predict(model, data[1:20, ])))
})
