rq_cars <- function() {
  rows <- mtcars[rep(1:32, 8), c("wt", "hp", "cyl", "am")]
  rows$wt <- rows$wt * seq(-0.5, 2, length.out = 256)
  rows$cyl <- factor(rows$cyl)
  rows$am <- c("auto", "manual")[rows$am + 1]
  rows$wt[1:3] <- c(NA, -1e9, 1e9)
  rows$hp[4] <- NA
  rows$cyl[5] <- NA
  rows$am[6] <- NA
  rows[7, ] <- NA
  rownames(rows) <- NULL
  rows
}

rq_data <- function() transform(mtcars, cyl = factor(cyl), am = c("auto", "manual")[am + 1])

rq_predicted <- function(model, rows) predict(model, rows)

case(
  "rq-median",
  fit = function() quantreg::rq(mpg ~ wt + log(hp) + cyl + am, data = rq_data()),
  rows = rq_cars,
  expect = list(response = rq_predicted)
)

case(
  "rq-not-kept",
  fit = function() quantreg::rq(mpg ~ poly(wt, 2) + cyl, tau = 0.9, data = rq_data(), model = FALSE, method = "fn"),
  rows = function() {
    rows <- rq_cars()[, c("wt", "cyl")]
    rows$wt[is.na(rows$wt)] <- 0
    rows
  },
  expect = list(response = rq_predicted)
)

case(
  "rqs",
  fit = function() quantreg::rq(mpg ~ wt + hp * cyl + am, tau = c(0.1, 0.25, 0.5, 0.9), data = rq_data()),
  rows = rq_cars,
  expect = list(quantiles = rq_predicted)
)
