# Without a word predict() takes lambda.1se.

cv_cars <- function() {
  rows <- mtcars[rep(1:32, 8), c("wt", "hp", "cyl", "disp")]
  rows$wt <- rows$wt * seq(-1, 3, length.out = 256)
  rows$wt[1] <- NA
  rows[2, ] <- NA
  rows$hp[3] <- 1e12
  rownames(rows) <- NULL
  rows
}

cv_flowers <- function() {
  rows <- iris[rep(1:150, 2), 1:4]
  rows[151:300, ] <- rows[151:300, ] * 1.3
  rows[4, 1] <- NA
  rows[6, ] <- NA
  rows[7, 2] <- 1e6
  rownames(rows) <- NULL
  rows
}

cv_type <- function(type, ...) {
  asked <- list(...)
  function(model, rows) {
    answer <- do.call(predict, c(list(model, as.matrix(rows), type = type), asked))
    if (type == "class") return(factor(answer))
    if (length(dim(answer)) == 3) matrix(answer, nrow(rows), dimnames = list(NULL, dimnames(answer)[[2]])) else answer
  }
}

cv_gaussian <- function(...) {
  glmnet::cv.glmnet(as.matrix(mtcars[, c("wt", "hp", "cyl", "disp")]), mtcars$mpg, foldid = rep(1:4, 8), ...)
}

case(
  "cv.glmnet-gaussian",
  fit = function() cv_gaussian(),
  rows = cv_cars,
  expect = list(response = cv_type("response"))
)

case(
  "cv.glmnet-number",
  fit = function() cv_gaussian(),
  rows = cv_cars,
  expect = list(response = cv_type("response", s = 1 / 3)),
  options = list(lambda = 1 / 3)
)

case(
  "cv.glmnet-binomial",
  fit = function() {
    flowers <- droplevels(iris[51:150, ])
    glmnet::cv.glmnet(as.matrix(flowers[, 1:4]), flowers$Species, family = "binomial", foldid = rep(1:4, 25))
  },
  rows = cv_flowers,
  expect = list(
    response = cv_type("response", s = "lambda.min"), link = cv_type("link", s = "lambda.min"),
    class = cv_type("class", s = "lambda.min")
  ),
  options = list(s = "lambda.min")
)

case(
  "cv.glmnet-multinomial",
  fit = function() {
    glmnet::cv.glmnet(as.matrix(iris[, 1:4]), iris$Species, family = "multinomial", foldid = rep(1:3, 50), nlambda = 20)
  },
  rows = cv_flowers,
  expect = list(response = cv_type("response"), link = cv_type("link"), class = cv_type("class"))
)

case(
  "cv.glmnet-relaxed",
  fit = function() cv_gaussian(relax = TRUE, gamma = c(0, 0.5, 1)),
  rows = cv_cars,
  expect = list(response = cv_type("response", s = "lambda.min")),
  options = list(s = "lambda.min")
)
