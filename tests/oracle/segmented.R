# Broken lines of segmented: of an lm with other columns beside, of a glm, in two columns.

segmented_rows <- function() {
  rows <- datasets::mtcars[rep(1:32, 7), c("hp", "wt", "am")]
  rows$hp <- rows$hp + rep(0:6, each = 32)
  rows$hp[1:3] <- c(NA, 0, 1e6)
  transform(rows, am = factor(ifelse(am == 1, "manual", "automatic")))
}

segmented_data <- function() transform(datasets::mtcars, am = factor(ifelse(am == 1, "manual", "automatic")))

case(
  "segmented-lm",
  fit = function() segmented::segmented(lm(mpg ~ hp + am, segmented_data()), seg.Z = ~hp),
  rows = function() segmented_rows()[c("hp", "am")],
  expect = list(response = function(model, rows) predict(model, rows))
)

case(
  "segmented-glm",
  fit = function() {
    fit <- glm(carb ~ hp + wt, poisson, segmented_data())
    segmented::segmented(fit, seg.Z = ~ hp + wt, psi = list(hp = 150, wt = 3))
  },
  rows = function() segmented_rows()[c("hp", "wt")],
  expect = list(
    response = function(model, rows) predict(model, rows, type = "response"),
    link = function(model, rows) predict(model, rows)
  )
)
