# A row with a missing value is dropped by predict() unless it is told na.exclude; the server answers every row.

svm_flowers <- function() {
  rows <- iris[rep(1:150, 2), 1:4]
  rows[151:300, ] <- rows[151:300, ] + 0.05
  rows[200, 1] <- NA
  rows[201, 2:3] <- NA
  rows[202, ] <- NA
  rows[203, 4] <- 1e6
  rows[204, ] <- 0
  rows[205, 1] <- -1e300
  rows
}

svm_prob <- function(model, rows) {
  attr(predict(model, rows, probability = TRUE, na.action = na.exclude), "probabilities")
}

svm_decision <- function(model, rows) {
  attr(predict(model, rows, decision.values = TRUE, na.action = na.exclude), "decision.values")
}

svm_plain <- function(model, rows) predict(model, rows, na.action = na.exclude)

svm_cars <- function() {
  rows <- mtcars[rep(1:32, 8), c("wt", "hp", "cyl", "am")]
  rows$wt <- rows$wt * seq(0.5, 1.5, length.out = 256)
  rows$cyl <- factor(rows$cyl)
  rows$am <- rows$am == 1
  rows$cyl[3] <- NA
  rows$am[4] <- NA
  rows$hp[5:6] <- c(NA, 0)
  rows
}

case(
  "svm-radial",
  fit = function() e1071::svm(Species ~ ., iris, probability = TRUE),
  rows = svm_flowers,
  expect = list(class = svm_plain, prob = svm_prob, decision = svm_decision)
)

case(
  "svm-xy-two-classes",
  fit = function() e1071::svm(iris[51:150, 1:4], droplevels(iris$Species[51:150]), kernel = "linear", scale = FALSE),
  rows = svm_flowers,
  expect = list(class = svm_plain, decision = svm_decision)
)

case(
  "svm-regression",
  fit = function() {
    cars <- transform(mtcars, cyl = factor(cyl), am = am == 1)
    e1071::svm(mpg ~ poly(wt, 2) + log(hp + 1) + cyl + am, cars, kernel = "polynomial")
  },
  rows = svm_cars,
  expect = list(response = svm_plain)
)

case(
  "svm-text",
  fit = function() e1071::svm(mpg ~ wt + gear, transform(mtcars, gear = paste("gear", gear)), type = "nu-regression"),
  rows = function() {
    data.frame(wt = seq(-1, 8, length.out = 210), gear = factor(paste("gear", 3:5)))
  },
  expect = list(response = svm_plain),
  sidecar = c("schema:", "  inputs:", "    - {name: wt, type: numeric}",
              "    - {name: gear, type: factor, levels: [gear 3, gear 4, gear 5]}")
)

case(
  "svm-one-class",
  fit = function() e1071::svm(as.matrix(iris[1:50, 1:4]), nu = 0.1),
  rows = svm_flowers,
  expect = list(class = svm_plain, decision = svm_decision)
)
