skip_if_not_installed("segmented")

test_that("what the package makes of a column is no input", {
  served <- opened(segmented::segmented(lm(mpg ~ hp + factor(am), mtcars), seg.Z = ~hp))
  expect_identical(input_names(served), c("hp", "am"))
  expect_scored(served, mtcars, "response", bare(predict(served$model, mtcars)))
})

test_that("of a glm the response is not the link, and a column need not stand in the formula", {
  served <- opened(segmented::segmented(glm(carb ~ wt, poisson, mtcars), seg.Z = ~hp, psi = 200))
  expect_identical(input_names(served), c("wt", "hp"))
  expect_identical(names(served$description$outputs), c("response", "link"))
  for (type in c("response", "link")) {
    expect_scored(served, mtcars, type, bare(predict(served$model, mtcars, type = type)))
  }
})
