# By formula and by matrix, and the methods of prediction.

qda_rows <- function() {
  set.seed(10)
  rows <- iris[rep(1:150, 2), 1:4]
  rows <- rows * matrix(runif(1200, 0.6, 1.6), 300)
  rows$Sepal.Length[1:5] <- NA
  rows$Petal.Width[5:9] <- NA
  rows[10, ] <- NA
  rows$Petal.Length[11:16] <- c(1e3, -1e3, 1e-300, 0, 1 / 3, 1e6)
  rownames(rows) <- NULL
  rows
}

qda_by <- function(...) {
  list(
    class = function(model, rows) predict(model, rows, ...)$class,
    prob = function(model, rows) predict(model, rows, ...)$posterior
  )
}

case("qda-iris", function() MASS::qda(Species ~ ., iris), qda_rows, qda_by())

case("qda-matrix", function() {
  MASS::qda(as.matrix(iris[, 1:4]), iris$Species, prior = c(0.7, 0.2, 0.1))
}, qda_rows, qda_by())

case("qda-predictive", function() {
  MASS::qda(Species ~ Sepal.Length + sqrt(Sepal.Width), iris, method = "mle")
}, function() transform(qda_rows(), Sepal.Width = abs(Sepal.Width)), qda_by(method = "predictive"), options = list(
  method = "predictive"
))

case("qda-debiased", function() {
  MASS::qda(iris[, 1:4], iris$Species, method = "t", nu = 8)
}, qda_rows, qda_by(method = "debiased"), options = list(method = "debiased"))
