# predict() answers in three dimensions: rows, responses, numbers of components.

mvr_rows <- function() {
  rows <- mtcars[rep(1:32, 8), c("wt", "hp", "qsec", "cyl")]
  rows$wt <- rows$wt * seq(-0.5, 2, length.out = 256)
  rows$cyl <- factor(rows$cyl)
  rows$wt[1:3] <- c(NA, -1e9, 1e9)
  rows$cyl[4] <- NA
  rows[5, ] <- NA
  rownames(rows) <- NULL
  rows
}

mvr_data <- function() transform(mtcars, cyl = factor(cyl))

# By the names of the only dimension that is not one, or of both.
mvr_matrix <- function(answer) {
  names <- outer(dimnames(answer)[[2]], dimnames(answer)[[3]], paste, sep = ".")
  if (dim(answer)[2] == 1) names <- dimnames(answer)[[3]]
  if (dim(answer)[3] == 1) names <- dimnames(answer)[[2]]
  matrix(answer, dim(answer)[1], dimnames = list(NULL, c(names)))
}

mvr_predicted <- function(...) {
  asked <- list(...)
  function(model, rows) mvr_matrix(do.call(predict, c(list(model, rows), asked)))
}

case(
  "plsr-all-components",
  fit = function() pls::plsr(mpg ~ wt + hp + qsec + cyl, ncomp = 3, data = mvr_data(), scale = TRUE),
  rows = mvr_rows,
  expect = list(response = mvr_predicted())
)

case(
  "pcr-one-number-of-components",
  fit = function() pls::pcr(mpg ~ log(disp) + wt + hp, ncomp = 3, data = mtcars, validation = "none", model = FALSE),
  rows = function() transform(mvr_rows(), disp = seq(0, 500, length.out = 256))[, c("disp", "wt", "hp")],
  expect = list(response = mvr_predicted(ncomp = 2)),
  options = list(ncomp = 2L)
)

case(
  "plsr-several-responses",
  fit = function() {
    data <- mvr_data()
    data$y <- as.matrix(data[, c("mpg", "disp")])
    pls::plsr(y ~ wt + hp + qsec, ncomp = 2, data = data, method = "simpls")
  },
  rows = function() mvr_rows()[, c("wt", "hp", "qsec")],
  expect = list(response = mvr_predicted())
)

mvr_gasoline <- function() {
  data(gasoline, package = "pls", envir = environment())
  gasoline
}

case(
  "plsr-spectra",
  fit = function() {
    gasoline <- mvr_gasoline()
    gasoline$NIR <- gasoline$NIR[, seq(1, 401, 40)]
    pls::plsr(octane ~ NIR, ncomp = 4, data = gasoline)
  },
  rows = function() {
    spectra <- unclass(mvr_gasoline()$NIR)[rep(1:60, 4), seq(1, 401, 40)]
    spectra[1, 1] <- NA
    spectra[2, ] <- 0
    spectra[3, 2] <- 1e9
    data.frame(spectra, row.names = NULL, check.names = FALSE)
  },
  expect = list(response = function(model, rows) {
    predict(model, data.frame(NIR = I(as.matrix(rows))), ncomp = 3)[, , 1]
  }),
  options = list(ncomp = 3L)
)
