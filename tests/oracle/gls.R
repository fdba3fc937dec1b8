# nlme's generalized least squares: factors, an interaction, a correlation within groups.

gls_data <- function() {
  set.seed(1)
  data <- data.frame(
    site = factor(sample(sprintf("s%02d", 1:12), 300, TRUE)), kind = factor(sample(c("old", "new"), 300, TRUE)),
    heating = factor(sample(c("gas", "\u00d6l"), 300, TRUE)), x = rlnorm(300)
  )
  data$y <- data$x + as.integer(data$site) + (data$kind == "new") + rnorm(300)
  data
}

gls_rows <- function() {
  rows <- gls_data()[c("x", "kind", "heating")]
  rows$x[1:3] <- c(1e-300, 1e300, 0.1 + 0.2)
  rows
}

case(
  "gls-sites",
  fit = function() nlme::gls(y ~ x * kind + heating, gls_data(), correlation = nlme::corCompSymm(form = ~ 1 | site)),
  rows = gls_rows,
  expect = list(response = function(model, rows) predict(model, rows))
)

case(
  "gls-transformed",
  fit = function() {
    nlme::gls(y ~ log(x) + I(x^2) + factor(kind), gls_data(), weights = nlme::varIdent(form = ~ 1 | kind))
  },
  rows = function() gls_rows()[-1:-2, c("x", "kind")],
  expect = list(response = function(model, rows) predict(model, rows))
)
