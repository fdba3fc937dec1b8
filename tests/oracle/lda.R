# By formula and by matrix, several priors and methods of prediction, factors among the inputs, two groups.

lda_rows <- function() {
  set.seed(9)
  rows <- iris[rep(1:150, 2), 1:4]
  rows <- rows * matrix(runif(1200, 0.6, 1.6), 300)
  rows$Sepal.Length[1:5] <- NA
  rows$Petal.Width[5:9] <- NA
  rows[10, ] <- NA
  rows$Petal.Length[11:16] <- c(1e3, -1e3, 1e-300, 0, 1 / 3, 1e6)
  rownames(rows) <- NULL
  rows
}

lda_class <- function(model, rows) predict(model, rows)$class
lda_prob <- function(model, rows) predict(model, rows)$posterior
lda_scores <- function(model, rows) predict(model, rows)$x

lda_all <- list(class = lda_class, prob = lda_prob, scores = lda_scores)

lda_by <- function(method) {
  list(
    class = function(model, rows) predict(model, rows, method = method)$class,
    prob = function(model, rows) predict(model, rows, method = method)$posterior,
    scores = function(model, rows) predict(model, rows, method = method)$x
  )
}

case("lda-iris", function() MASS::lda(Species ~ ., iris), lda_rows, lda_all)

case("lda-matrix", function() {
  MASS::lda(as.matrix(iris[, 1:4]), iris$Species, prior = c(0.7, 0.2, 0.1), method = "mle")
}, lda_rows, lda_all)

case("lda-debiased", function() {
  MASS::lda(Species ~ log(Sepal.Length + 2000) + Petal.Length * Petal.Width, iris, subset = -(1:10))
}, lda_rows, lda_by("debiased"), options = list(method = "debiased"))

case("lda-predictive", function() {
  # method = "t" prints its weights.
  utils::capture.output(model <- MASS::lda(iris[, 1:4], iris$Species, method = "t"))
  model
}, lda_rows, lda_by("predictive"), options = list(method = "predictive"))

case("lda-two", function() {
  cars <- transform(mtcars, cyl = factor(cyl), am = factor(am, labels = c("automatic", "manual")))
  MASS::lda(am ~ wt + cyl, cars)
}, function() {
  rows <- data.frame(wt = seq(0, 8, length.out = 240), cyl = factor(rep(c(4, 6, 8), 80), c(4, 6, 8)))
  rows$wt[3:5] <- NA
  rows$cyl[5:8] <- NA
  rows
}, lda_all)

# A group without rows.
case("lda-empty", function() {
  data <- transform(iris[1:100, ], Species = factor(Species, c("virginica", "setosa", "versicolor")))
  suppressWarnings(MASS::lda(Species ~ Petal.Length + Petal.Width, data))
}, lda_rows, lda_all)

case("lda-unnamed", function() MASS::lda(unname(as.matrix(iris[, 1:4])), iris$Species), function() {
  stats::setNames(lda_rows(), 1:4)
}, lda_all)
