# Centred, scaled, neither, cut short, by formula.

pca_rows <- function() {
  set.seed(8)
  rows <- USArrests[rep(1:50, 5), ]
  rows$Murder <- rows$Murder * runif(250, -1, 2)
  rows$Assault[1:5] <- NA
  rows$Rape[5:8] <- NA
  rows$UrbanPop[10:14] <- c(1e300, -1e-300, Inf, -Inf, 1 / 3)
  rownames(rows) <- NULL
  rows
}

pca_scores <- function(model, rows) predict(model, rows)

case("pca-arrests", function() prcomp(USArrests), pca_rows, list(scores = pca_scores))

case("pca-scaled", function() prcomp(USArrests, scale. = TRUE, rank. = 2, retx = FALSE), function() {
  cbind(extra = 1, pca_rows()[4:1])[c(5, 3, 2, 4)]
}, list(scores = pca_scores))

case("pca-formula", function() {
  prcomp(~ Murder + Rape + UrbanPop, USArrests, scale. = TRUE, tol = 0.3, subset = Murder > 2)
}, pca_rows, list(scores = pca_scores))

case("pca-raw", function() {
  prcomp(as.matrix(USArrests), center = FALSE, scale. = c(4, 80, 10, 9))
}, pca_rows, list(scores = pca_scores))
