# By covariances and by correlations, with and without scores kept, by formula.

princomp_rows <- function() {
  set.seed(9)
  rows <- USArrests[rep(1:50, 5), ]
  rows$Murder <- rows$Murder * runif(250, -1, 2)
  rows$Assault[1:5] <- NA
  rows$Rape[5:8] <- NA
  rows$UrbanPop[10:14] <- c(1e300, -1e-300, Inf, -Inf, 1 / 3)
  rownames(rows) <- NULL
  rows
}

princomp_scores <- function(model, rows) predict(model, rows)

case("princomp-arrests", function() princomp(USArrests), princomp_rows, list(scores = princomp_scores))

case("princomp-correlations", function() princomp(USArrests, cor = TRUE, scores = FALSE), function() {
  cbind(extra = 1, princomp_rows()[4:1])[c(5, 3, 2, 4)]
}, list(scores = princomp_scores))

case("princomp-formula", function() {
  princomp(~ Murder + Rape + UrbanPop, USArrests, cor = TRUE, subset = Murder > 2)
}, princomp_rows, list(scores = princomp_scores))
