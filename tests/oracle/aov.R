# Designs: crossed factors, a covariate, an unbalanced one.

aov_rows <- function() {
  rows <- npk[rep(1:24, 10), c("block", "N", "P", "K")]
  rows$block[1:10] <- NA
  rows$N[10:20] <- NA
  rows$K[30] <- NA
  rows
}

aov_response <- function(model, rows) predict(model, rows)
aov_se <- function(model, rows) {
  prediction <- predict(model, rows, se.fit = TRUE)
  data.frame(fit = prediction$fit, se = prediction$se.fit)
}
aov_prediction <- function(model, rows) predict(model, rows, interval = "prediction", level = 0.99)
aov_terms <- function(model, rows) predict(model, rows, type = "terms")

case(
  "aov-block",
  fit = function() aov(yield ~ block + N * P + K, npk),
  rows = aov_rows,
  expect = list(response = aov_response, se = aov_se, prediction = aov_prediction, terms = aov_terms),
  options = list(level = 0.99)
)

case(
  "aov-covariate",
  fit = function() aov(breaks ~ wool + tension + seq_number, transform(warpbreaks[-(1:5), ], seq_number = 6:54 / 7)),
  rows = function() {
    rows <- warpbreaks[rep(1:54, 5), c("wool", "tension")]
    rows$seq_number <- c(seq(-100, 100, length.out = 265), NA, 0, 1e200, -1e-200, 0.1)
    rows$tension[7:9] <- NA
    rows
  },
  expect = list(response = aov_response, se = aov_se, terms = aov_terms)
)
