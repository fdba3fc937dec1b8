# predict() takes a matrix; several classes come with a third dimension, the values of lambda.

glmnet_x <- function(rows) as.matrix(rows)

glmnet_flowers <- function() {
  rows <- iris[rep(1:150, 2), 1:4]
  rows[151:300, ] <- rows[151:300, ] * 1.3
  rows[1, ] <- 0
  rows[2, ] <- -1e3
  rows[3, ] <- 1e9
  rows[4, 1] <- NA
  rows[5, 3:4] <- NA
  rows[6, ] <- NA
  rows[7, 2] <- Inf
  rownames(rows) <- NULL
  rows
}

glmnet_cars <- function() {
  rows <- mtcars[rep(1:32, 8), c("wt", "hp", "cyl", "disp")]
  rows$wt <- rows$wt * seq(-1, 3, length.out = 256)
  rows$wt[1] <- NA
  rows[2, ] <- NA
  rows$hp[3] <- 1e12
  rownames(rows) <- NULL
  rows
}

glmnet_type <- function(type, ...) {
  asked <- list(...)
  function(model, rows) do.call(predict, c(list(model, glmnet_x(rows), type = type), asked))
}

# Of one s.
glmnet_slice <- function(type, s) {
  force(type)
  force(s)
  function(model, rows) {
    answer <- predict(model, glmnet_x(rows), type = type, s = s)
    matrix(answer, nrow(rows), dimnames = list(NULL, dimnames(answer)[[2]]))
  }
}

glmnet_class <- function(s) {
  force(s)
  function(model, rows) factor(predict(model, glmnet_x(rows), type = "class", s = s))
}

case(
  "glmnet-path",
  fit = function() glmnet::glmnet(as.matrix(mtcars[, c("wt", "hp", "cyl", "disp")]), mtcars$mpg, nlambda = 8),
  rows = glmnet_cars,
  expect = list(response = glmnet_type("response"))
)

case(
  "glmnet-gaussian",
  fit = function() glmnet::glmnet(as.matrix(mtcars[, c("wt", "hp", "cyl", "disp")]), mtcars$mpg, alpha = 0.5),
  rows = glmnet_cars,
  expect = list(response = glmnet_type("response", s = 0.123456789012345678)),
  options = list(s = 0.123456789012345678)
)

case(
  "glmnet-binomial",
  fit = function() {
    flowers <- droplevels(iris[51:150, ])
    glmnet::glmnet(as.matrix(flowers[, 1:4]), flowers$Species, family = "binomial")
  },
  rows = glmnet_flowers,
  expect = list(
    response = glmnet_type("response", s = 0.01), link = glmnet_type("link", s = 0.01), class = glmnet_class(0.01)
  ),
  options = list(s = 0.01)
)

case(
  "glmnet-binomial-path",
  fit = function() {
    flowers <- droplevels(iris[51:150, ])
    glmnet::glmnet(as.matrix(flowers[, 1:4]), flowers$Species, family = "binomial", lambda = c(0.1, 0.01, 0.001))
  },
  rows = glmnet_flowers,
  expect = list(
    response = glmnet_type("response"), link = glmnet_type("link"), class = glmnet_type("class")
  )
)

case(
  "glmnet-multinomial",
  fit = function() glmnet::glmnet(as.matrix(iris[, 1:4]), iris$Species, family = "multinomial"),
  rows = glmnet_flowers,
  expect = list(
    response = glmnet_slice("response", 0.005), link = glmnet_slice("link", 0.005), class = glmnet_class(0.005)
  ),
  options = list(s = 0.005)
)

# By lambda. predict() gives numbers to a single row that has no class for some lambda.
glmnet_path_class <- function(model, rows) {
  answer <- predict(model, glmnet_x(rows), type = "class")
  if (nrow(rows) == 1) stop("see above")
  matrix(answer, nrow(rows), dimnames = list(NULL, c("s0", "s1", "s2")))
}

glmnet_path_slices <- function(type) {
  force(type)
  function(model, rows) {
    answer <- predict(model, glmnet_x(rows), type = type)
    slices <- lapply(seq_along(model$lambda), function(k) {
      names <- paste(model$classnames, dimnames(answer)[[3]][k], sep = ".")
      matrix(answer[, , k], nrow(rows), dimnames = list(NULL, names))
    })
    do.call(cbind, slices)
  }
}

case(
  "glmnet-multinomial-path",
  fit = function() {
    glmnet::glmnet(as.matrix(iris[, 1:4]), iris$Species, family = "multinomial", lambda = c(0.2, 0.02, 0.002))
  },
  rows = glmnet_flowers,
  expect = list(
    response = glmnet_path_slices("response"), link = glmnet_path_slices("link"), class = glmnet_path_class
  )
)

case(
  "glmnet-poisson-offset",
  fit = function() {
    cars <- as.matrix(mtcars[, c("wt", "hp", "cyl")])
    glmnet::glmnet(cars, mtcars$carb, family = "poisson", offset = log(mtcars$disp))
  },
  rows = function() {
    rows <- glmnet_cars()[, c("wt", "hp", "cyl")]
    rows$newoffset <- log(seq_len(nrow(rows)))
    rows
  },
  expect = list(
    response = function(model, rows) {
      predict(model, as.matrix(rows[, 1:3]), s = 0.1, type = "response", newoffset = rows$newoffset)
    },
    link = function(model, rows) predict(model, as.matrix(rows[, 1:3]), s = 0.1, newoffset = rows$newoffset)
  ),
  options = list(s = 0.1)
)

case(
  "glmnet-several-responses",
  fit = function() {
    glmnet::glmnet(as.matrix(mtcars[, c("wt", "hp")]), as.matrix(mtcars[, c("mpg", "qsec")]), family = "mgaussian")
  },
  rows = function() glmnet_cars()[, c("wt", "hp")],
  expect = list(response = glmnet_slice("response", 0.2)),
  options = list(s = 0.2)
)

case(
  "glmnet-family-object",
  fit = function() glmnet::glmnet(as.matrix(mtcars[, c("wt", "hp")]), mtcars$am, family = binomial("cloglog")),
  rows = function() glmnet_cars()[, c("wt", "hp")],
  expect = list(response = glmnet_type("response", s = 0.02), link = glmnet_type("link", s = 0.02)),
  options = list(s = 0.02)
)

case(
  "glmnet-cox",
  fit = function() {
    patients <- survival::veteran
    glmnet::glmnet(as.matrix(patients[, c("karno", "age", "trt")]), survival::Surv(patients$time, patients$status),
                   family = "cox")
  },
  rows = function() {
    rows <- survival::veteran[rep(1:137, 2), c("karno", "age", "trt")]
    rows$age[1:2] <- c(NA, -1e6)
    rownames(rows) <- NULL
    rows
  },
  expect = list(response = glmnet_type("response", s = 0.05), link = glmnet_type("link", s = 0.05)),
  options = list(s = 0.05)
)

case(
  "glmnet-relaxed",
  fit = function() glmnet::glmnet(as.matrix(mtcars[, c("wt", "hp", "cyl", "disp")]), mtcars$mpg, relax = TRUE),
  rows = glmnet_cars,
  expect = list(response = glmnet_type("response", s = 0.5, gamma = 0.25)),
  options = list(s = 0.5, gamma = 0.25)
)
