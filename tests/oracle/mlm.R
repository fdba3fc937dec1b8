# Several responses at once.

mlm_rows <- function() {
  rows <- iris[rep(1:150, 2), c("Petal.Length", "Petal.Width", "Species")]
  rows$Petal.Length[151:300] <- rows$Petal.Length[151:300] * c(-1, 0, 1e300, 1 / 3, Inf)
  rows$Petal.Length[1:5] <- NA
  rows$Species[5:9] <- NA
  rows$Petal.Width[20] <- NA
  rows
}

mlm_response <- function(model, rows) predict(model, rows)

case(
  "mlm-sepals",
  fit = function() lm(cbind(Sepal.Length, Sepal.Width) ~ Petal.Length * Species + Petal.Width, iris),
  rows = mlm_rows,
  expect = list(response = mlm_response)
)

case(
  "mlm-matrix",
  fit = function() {
    data <- iris
    data$sizes <- as.matrix(iris[1:2])
    lm(sizes ~ poly(Petal.Length, 2) + offset(Petal.Width), data, model = FALSE)
  },
  rows = function() mlm_rows()[6:300, ],
  expect = list(response = mlm_response)
)

case(
  "mlm-aov",
  fit = function() aov(cbind(Sepal.Length, Sepal.Width) ~ Species, iris),
  rows = mlm_rows,
  expect = list(response = mlm_response)
)
