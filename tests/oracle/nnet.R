# Regression, two and three classes, several responses, skip layer.

nnet_rows <- function() {
  set.seed(13)
  rows <- iris[rep(1:150, 2), c(1:4)]
  rows <- rows * matrix(runif(1200, 0.6, 1.6), 300)
  rows$kind <- factor(rep_len(c("u", "v", "w", "v", "u"), 300), c("u", "v", "w"))
  rows$Sepal.Length[1:5] <- NA
  rows$kind[5:9] <- NA
  rows[10, ] <- NA
  rows$Petal.Length[11:16] <- c(1e3, -1e3, 1e-300, 0, 1e300, -1e300)
  rownames(rows) <- NULL
  rows
}

nnet_data <- function() transform(iris, kind = factor(rep_len(c("u", "v", "w", "v", "u"), 150)))

nnet_raw <- function(model, rows) predict(model, rows)
nnet_class <- function(model, rows) predict(model, rows, type = "class")

case("nnet-regression", function() {
  set.seed(1)
  nnet::nnet(Petal.Width ~ Sepal.Length + kind + log1p(abs(Petal.Length)), nnet_data(),
             size = 3, linout = TRUE, skip = TRUE, decay = 1e-3, trace = FALSE)
}, nnet_rows, list(response = nnet_raw))

case("nnet-three", function() {
  set.seed(1)
  nnet::nnet(Species ~ Sepal.Length + Petal.Length + kind, nnet_data(), size = 2, decay = 1e-3, trace = FALSE)
}, nnet_rows, list(class = nnet_class, prob = nnet_raw))

case("nnet-two", function() {
  set.seed(1)
  data <- transform(nnet_data(), big = factor(Sepal.Width > 3, labels = c("small", "big")))
  nnet::nnet(big ~ Sepal.Length + Petal.Length, data, size = 2, decay = 1e-3, trace = FALSE, weights = Petal.Width)
}, nnet_rows, list(class = nnet_class, prob = nnet_raw))

case("nnet-several", function() {
  set.seed(1)
  nnet::nnet(cbind(Sepal.Width, Petal.Width) / 10 ~ Sepal.Length + Petal.Length, nnet_data(), size = 2, trace = FALSE)
}, nnet_rows, list(response = nnet_raw))
