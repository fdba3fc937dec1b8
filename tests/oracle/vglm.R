# VGAM: classes, ordered classes, counts with two predictors, smooth terms, reduced rank. predict() leaves out rows with
# missing values.

vgam_data <- function() {
  set.seed(1)
  data <- data.frame(
    x = rnorm(300), z = runif(300, 1, 9), site = factor(sample(c("Bern", "Z\u00fcrich", "Genf"), 300, TRUE)),
    text = sample(c("a", "b"), 300, TRUE)
  )
  score <- data$x + as.integer(data$site) / 2 + rnorm(300)
  data$grade <- cut(score, c(-Inf, 0, 1.5, Inf), c("low", "mid", "high"), ordered_result = TRUE)
  data$kind <- factor(sample(c("red", "green", "blue"), 300, TRUE, c(0.5, 0.3, 0.2)))
  data$n <- rpois(300, exp(0.5 + 0.3 * data$x)) * rbinom(300, 1, 0.8)
  data
}

vgam_rows <- function() {
  rows <- vgam_data()[1:220, c("x", "z", "site", "text")]
  rows$x[1:3] <- c(-1e3, 0.1 + 0.2, 30)
  rows
}

vgam_gaps <- function() {
  rows <- vgam_rows()
  rows$x[5:6] <- NA
  rows$site[7] <- NA
  rows
}

# predict() of the rows without missing values, and NA for the others.
vgam_answer <- function(type) {
  function(model, rows) {
    whole <- complete.cases(rows)
    if (!any(whole)) {
      known <- VGAM::predict(model, vgam_data()[1, ], type = type)
      if (length(known) == 1) return(rep(NA_real_, nrow(rows)))
      return(matrix(NA_real_, nrow(rows), ncol(known), dimnames = list(NULL, colnames(known))))
    }
    found <- VGAM::predict(model, rows[whole, , drop = FALSE], type = type)
    at <- match(seq_along(whole), which(whole))
    if (NCOL(found) == 1) as.vector(found)[at] else unname_rows(found)[at, , drop = FALSE]
  }
}

unname_rows <- function(found) {
  rownames(found) <- NULL
  found
}

vgam_expect <- list(response = vgam_answer("response"), link = vgam_answer("link"))

case(
  "vglm-ordered",
  fit = function() VGAM::vglm(grade ~ x + site, VGAM::propodds, vgam_data()),
  rows = function() vgam_gaps()[c("x", "site")],
  expect = vgam_expect
)

case(
  "vglm-classes",
  fit = function() VGAM::vglm(kind ~ x + poly(z, 2) + text, VGAM::multinomial, vgam_data()),
  rows = function() vgam_rows()[c("x", "z", "text")],
  expect = vgam_expect
)

case(
  "vglm-two-predictors",
  fit = function() suppressWarnings(VGAM::vglm(n ~ x + site, VGAM::zipoisson, vgam_data())),
  rows = function() vgam_gaps()[c("x", "site")],
  expect = vgam_expect
)

case(
  "vgam-smooth",
  fit = function() {
    suppressMessages(library(VGAM))
    vgam(n ~ s(x) + site, poissonff, vgam_data())
  },
  rows = function() vgam_gaps()[c("x", "site")],
  expect = vgam_expect
)

case(
  "vglm-reduced-rank",
  fit = function() VGAM::rrvglm(kind ~ x + z, VGAM::multinomial, vgam_data()),
  rows = function() vgam_rows()[c("x", "z")],
  expect = vgam_expect
)
