# Two and three classes, a table of counts, weights.

multinom_rows <- function() {
  set.seed(14)
  rows <- iris[rep(1:150, 2), c(1:4)]
  rows <- rows * matrix(runif(1200, 0.6, 1.6), 300)
  rows$Sepal.Length[1:5] <- NA
  rows$Petal.Width[5:9] <- NA
  rows[10, ] <- NA
  rows$Petal.Length[11:16] <- c(1e3, -1e3, 1e-300, 0, 1e300, -1e300)
  rownames(rows) <- NULL
  rows
}

multinom_class <- function(model, rows) predict(model, rows)
multinom_prob <- function(model, rows) predict(model, rows, type = "probs")

multinom_all <- list(class = multinom_class, prob = multinom_prob)

case("multinom-three", function() {
  nnet::multinom(Species ~ ., iris, decay = 1e-3, trace = FALSE)
}, multinom_rows, multinom_all)

case("multinom-two", function() {
  data <- transform(iris, big = factor(Sepal.Width > 3, labels = c("small", "big")))
  nnet::multinom(big ~ poly(Sepal.Length, 2) + Petal.Length, data, weights = Petal.Width, model = TRUE, trace = FALSE)
}, function() transform(multinom_rows(), Sepal.Length = ifelse(is.na(Sepal.Length), 1, Sepal.Length)), multinom_all)

case("multinom-counts", function() {
  people <- as.data.frame(unclass(HairEyeColor[, , "Female"]))
  people$hair <- factor(rownames(people), rownames(people))
  people$counts <- as.matrix(people[c("Brown", "Blue", "Green")])
  nnet::multinom(counts ~ hair, people, trace = FALSE)
}, function() {
  levels <- rownames(HairEyeColor)
  data.frame(hair = factor(rep_len(c(levels, NA), 250), levels))
}, multinom_all)
