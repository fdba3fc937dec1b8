saved <- function(..., compress = TRUE) {
  path <- tempfile(fileext = ".RData")
  variables <- list2env(list(...), new.env())
  save(list = ls(variables), envir = variables, file = path, compress = compress)
  path
}

fit <- lm(dist ~ speed, cars)

test_that("the one model among the variables of a file is served, however the file is compressed", {
  for (compress in list(TRUE, FALSE, "bzip2", "xz")) {
    path <- saved(
      fit = fit, cars = cars, f = function(x) x, n = 1, when = Sys.time(), y = dist ~ speed, compress = compress
    )
    expect_identical(coef(tandem$open_model(path)), coef(fit))
  }
})

test_that("what cannot predict beside a model does not count as one", {
  expect_s3_class(tandem$open_model(saved(a = summary(fit), b = fit, d = structure(list(), class = "gg"))), "lm")
})

test_that("the only object with a class is taken for the model, so that its missing package is named", {
  lost <- structure(list(call = quote(nosuchpkg::fit(x))), class = "unheard_of")
  expect_refused("package_missing", "nosuchpkg", tandem$open_model(saved(lost = lost, data = cars)))
})

test_that("several models, or none, are refused with what there is and what to do", {
  several <- saved(first = fit, second = glm(am ~ wt, binomial, mtcars), data = cars)
  expect_refused("not_a_model", "data \\(data.frame\\), first \\(lm\\), second \\(glm\\), of which first, second are",
    tandem$open_model(several))
  expect_refused("not_a_model", "saveRDS\\(first, \"first.rds\"\\)", tandem$open_model(several))
  expect_refused("not_a_model", "data \\(data.frame\\), and no model", tandem$open_model(saved(data = cars)))
  expect_refused("not_a_model", "holds none", tandem$open_model(saved()))
  many <- do.call(saved, as.list(stats::setNames(seq_len(30), paste0("v", seq_len(30)))))
  expect_refused("not_a_model", "20 more", tandem$open_model(many))
})

test_that("a cut file of save() is unreadable", {
  whole <- saved(fit = fit, compress = FALSE)
  writeBin(readBin(whole, "raw", 3000), whole)
  expect_refused("unreadable", "truncated", tandem$open_model(whole))
})
