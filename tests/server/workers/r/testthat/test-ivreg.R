skip_if_not_installed("AER")

test_that("it is served by the package that is installed, called with or without its name, with the instruments", {
  attachNamespace("AER")
  bare_call <- ivreg(mpg ~ wt | hp, data = mtcars)
  detach("package:AER")
  for (model in list(bare_call, AER::ivreg(mpg ~ wt | hp, data = mtcars))) {
    served <- opened(model)
    expect_identical(input_names(served), c("wt", "hp"))
    expect_scored(served, mtcars, "response", bare(predict(model, mtcars)))
  }
})

test_that("the usual package of a class is named where none that is installed has its method", {
  expect_refused("package_missing", "biglm is not installed", opened(structure(list(1), class = c("biglm", "lm"))))
})
