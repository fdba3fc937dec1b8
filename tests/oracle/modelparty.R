# Trees of partykit with a model in each leaf.

leaves_data <- function() {
  set.seed(1)
  data <- data.frame(
    region = factor(sample(c("north", "south", "east"), 400, TRUE)), size = rlnorm(400), floors = sample(1:6, 400, TRUE)
  )
  data$price <- 100 * data$size * (1 + as.integer(data$region)) + 20 * (data$floors > 3) + rnorm(400)
  data$sold <- factor(rbinom(400, 1, plogis(data$size - as.integer(data$region))), labels = c("no", "yes"))
  data
}

leaves_rows <- function() leaves_data()[1:250, c("size", "region", "floors")]

case(
  "lmtree-prices",
  fit = function() partykit::lmtree(price ~ size | region + floors, data = leaves_data()),
  rows = leaves_rows,
  expect = list(response = function(model, rows) predict(model, rows))
)

case(
  "glmtree-sold",
  fit = function() partykit::glmtree(sold ~ size | region, data = leaves_data(), family = binomial),
  rows = function() leaves_rows()[c("size", "region")],
  expect = list(
    response = function(model, rows) predict(model, rows, type = "response"),
    link = function(model, rows) predict(model, rows, type = "link")
  )
)
