cforest_response <- function(model, rows) predict(model, rows, type = "response")

case(
  "cforest-iris",
  fit = function() partykit::cforest(Species ~ ., iris, ntree = 10L),
  rows = function() {
    rows <- iris[rep(1:150, 2), 1:4]
    rows[151:300, ] <- rows[151:300, ] + 0.05
    rows[203, 4] <- 1e6
    rows[204, ] <- 0
    rows
  },
  expect = list(class = cforest_response, prob = function(model, rows) predict(model, rows, type = "prob"))
)

case(
  "cforest-cars",
  fit = function() {
    cars <- transform(mtcars, cyl = factor(cyl), gear = as.integer(gear))
    partykit::cforest(mpg ~ wt + log(hp) + cyl + gear, cars, ntree = 10L)
  },
  rows = function() {
    rows <- mtcars[rep(1:32, 7), c("wt", "hp", "cyl", "gear")]
    rows$wt <- rows$wt * seq(0.5, 1.5, length.out = 224)
    rows$cyl <- factor(rows$cyl)
    rows
  },
  expect = list(response = cforest_response)
)
