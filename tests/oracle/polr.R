# Every link, factors, weights, an ordered predictor.

polr_rows <- function() {
  rows <- MASS::housing[rep(1:72, 4), c("Infl", "Type", "Cont")]
  rows$Infl[1:5] <- NA
  rows$Type[5:9] <- NA
  rows$Cont[20] <- NA
  rownames(rows) <- NULL
  rows
}

polr_all <- list(
  class = function(model, rows) predict(model, rows),
  prob = function(model, rows) predict(model, rows, type = "probs")
)

# cauchit finds no starting values by itself.
polr_housing <- function(link) {
  function() {
    logistic <- MASS::polr(Sat ~ Infl + Type + Cont, MASS::housing, weights = Freq)
    start <- c(coef(logistic), logistic$zeta)
    MASS::polr(Sat ~ Infl + Type + Cont, MASS::housing, weights = Freq, method = link, start = start)
  }
}

case("polr-logistic", polr_housing("logistic"), polr_rows, polr_all)
case("polr-probit", polr_housing("probit"), polr_rows, polr_all)
case("polr-loglog", polr_housing("loglog"), polr_rows, polr_all)
case("polr-cloglog", polr_housing("cloglog"), polr_rows, polr_all)
case("polr-cauchit", polr_housing("cauchit"), polr_rows, polr_all)

case("polr-numbers", function() {
  set.seed(11)
  data <- data.frame(dose = rep(1:10, 20), age = round(runif(200, 20, 80)))
  data$size <- factor(rep(c("S", "M", "L", "XL"), 50), c("S", "M", "L", "XL"), ordered = TRUE)
  data$pain <- cut(data$dose - data$age / 20 + rnorm(200), c(-Inf, 0, 2, 4, 6, Inf), letters[1:5])
  MASS::polr(pain ~ poly(dose, 2) + log(age) + size, data, model = FALSE, Hess = TRUE)
}, function() {
  set.seed(12)
  rows <- data.frame(
    dose = runif(250, 0, 12), age = c(1e-300, 1e300, runif(248, 15, 100)),
    size = factor(rep_len(c("S", "XL", "L", "M", NA), 250), c("S", "M", "L", "XL"), ordered = TRUE)
  )
  rows$age[10:13] <- NA
  rows
}, polr_all)
