curve_of <- function(params, data = kits) {
  do.call(nlme::gnls, list(
    density ~ SSlogis(log(conc), Asym, xmid, scal), data, params = params, start = c(2, 0, 0, 1.5, 1)
  ))
}

kits <- transform(as.data.frame(datasets::DNase), kit = factor(as.integer(Run) %% 3, labels = c("a", "b", "c")))
kits$text <- as.character(kits$kit)

test_that("the curve's variable and the parameters' factor are inputs, the parameters are not", {
  served <- opened(curve_of(list(Asym ~ kit, xmid + scal ~ 1)))
  expect_identical(input_names(served), c("conc", "kit"))
  expect_identical(served$description$inputs[[2]]$levels, c("a", "b", "c"))
  expect_scored(served, kits[1:20, ], "response", bare(predict(served$model, kits[1:20, ])))
})

test_that("parameters without a formula depend on nothing", {
  served <- opened(nlme::gnls(density ~ SSlogis(log(conc), Asym, xmid, scal), as.data.frame(datasets::DNase)))
  expect_identical(input_names(served), "conc")
  expect_scored(served, kits[1:20, ], "response", bare(predict(served$model, kits[1:20, ])))
})

test_that("levels that predict() would take from the rows, and a formula that stayed in a variable, are refused", {
  for (params in list(list(Asym ~ text, xmid + scal ~ 1), list(Asym ~ factor(text), xmid + scal ~ 1))) {
    expect_refused("no_schema", "cannot answer for one row", opened(curve_of(params)))
  }
  curve <- density ~ SSlogis(log(conc), Asym, xmid, scal)
  model <- nlme::gnls(curve, as.data.frame(datasets::DNase))
  expect_refused("no_schema", "the formula `curve` in the workspace", opened(model))
})
