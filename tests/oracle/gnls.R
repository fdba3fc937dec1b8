# nlme's gnls: a curve, parameters that depend on a factor, weights.

gnls_data <- function() {
  data <- as.data.frame(datasets::DNase)
  data$kit <- factor(as.integer(data$Run) %% 3, labels = c("old", "n\u00f6rd", "new"))
  data
}

gnls_rows <- function() {
  set.seed(1)
  rows <- data.frame(conc = rlnorm(210, 0, 2), kit = sample(c("old", "n\u00f6rd", "new"), 210, TRUE))
  rows$conc[1:3] <- c(1e-300, 1e300, 0.1 + 0.2)
  rows
}

case(
  "gnls-curve",
  fit = function() nlme::gnls(density ~ SSlogis(log(conc), Asym, xmid, scal), gnls_data()),
  rows = function() gnls_rows()["conc"],
  expect = list(response = function(model, rows) predict(model, rows))
)

case(
  "gnls-kits",
  fit = function() {
    nlme::gnls(
      density ~ SSlogis(log(conc), Asym, xmid, scal), gnls_data(), params = list(Asym ~ kit, xmid + scal ~ 1),
      start = c(2, 0, 0, 1.5, 1), weights = nlme::varPower()
    )
  },
  rows = gnls_rows,
  expect = list(response = function(model, rows) predict(model, rows))
)
