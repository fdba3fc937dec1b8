skip_if_not_installed("pls")

cars <- transform(mtcars, cyl = factor(cyl), am = c("auto", "manual")[am + 1])

test_that("a plsr answers a column per number of components, or one", {
  served <- opened(pls::plsr(mpg ~ wt + log(hp) + cyl + am, ncomp = 3, data = cars, scale = TRUE))
  expect_identical(served$description$outputs$response$columns, c("1 comps", "2 comps", "3 comps"))
  expect_identical(served$description$options$ncomp$type, "integer")
  # predict() finds the levels of text in the rows it is given; as a factor the column has them all.
  expect_identical(input_types(served), c("numeric", "numeric", "factor", "factor"))
  frame <- with_missing(cars, c("wt", "hp", "cyl"))
  expect_scored(served, frame, "response", bare(predict(served$model, frame)[, 1, ]))
  expect_scored(served, frame, "response", bare(predict(served$model, frame, ncomp = 2)[, 1, 1]), list(ncomp = 2))
  expect_true(proof_of(served)$rowwise)
})

test_that("several responses have a column each", {
  data <- cars
  data$y <- as.matrix(mtcars[, c("mpg", "qsec")])
  served <- opened(pls::pcr(y ~ wt + hp, ncomp = 2, data = data))
  expect_identical(served$description$outputs$response$columns[1:3], c("mpg.1 comps", "qsec.1 comps", "mpg.2 comps"))
  expect_scored(served, cars, "response", bare(predict(served$model, cars, ncomp = 1)[, , 1]), list(ncomp = 1))
})

test_that("the columns of a matrix of spectra are the inputs", {
  spectra <- matrix(sin(seq_len(300)), 30, dimnames = list(NULL, paste(1:10, "nm")))
  data <- data.frame(y = rowSums(spectra^2), spectra = I(spectra))
  for (kept in c(TRUE, FALSE)) {
    served <- opened(pls::plsr(y ~ spectra, ncomp = 3, data = data, model = kept))
    expect_identical(input_names(served), colnames(spectra))
    frame <- as.data.frame(spectra)
    expect_scored(served, frame, "response", bare(predict(served$model, data)[, 1, ]))
  }
})

test_that("a factor whose levels are not kept is refused", {
  model <- pls::plsr(mpg ~ wt + cyl, ncomp = 2, data = cars, model = FALSE)
  expect_refused("no_schema", "model = TRUE", opened(model))
})

test_that("what predict() or a row cannot carry is refused with the cure", {
  fit <- function(...) pls::mvr(mpg ~ wt + hp, ncomp = 1, data = cars, ...)
  expect_refused("no_schema", "stripped = FALSE", opened(fit(stripped = TRUE)))
  data <- data.frame(y = 1:30 + 0, spectra = I(matrix(sin(1:300) + 5, 30)))
  expect_refused("no_schema", "bare name", opened(pls::plsr(y ~ log(spectra), ncomp = 2, data = data)))
})
