# predict() gives classes as a matrix of one column of text, and none at all if the response of a row is NA.

earth_passengers <- function() {
  data(etitanic, package = "earth", envir = environment())
  rows <- etitanic[seq(1, 1046, 4), c("pclass", "sex", "age", "sibsp", "parch")]
  rows$age[1:3] <- c(NA, -1e6, 1e6)
  rows$sibsp[4] <- NA
  rownames(rows) <- NULL
  rows
}

earth_data <- function() {
  data(etitanic, package = "earth", envir = environment())
  etitanic
}

earth_type <- function(type) {
  force(type)
  function(model, rows) predict(model, rows, type = type)
}

earth_class <- function(model, rows) {
  known <- stats::complete.cases(rows)
  class <- rep(NA, nrow(rows))
  class[known] <- predict(model, rows[known, ], type = "class")
  if (is.character(class)) factor(class) else class
}

case(
  "earth-gaussian",
  fit = function() earth::earth(log(Volume) ~ Girth + log(Height), trees),
  rows = function() {
    rows <- trees[rep(1:31, 7), c("Girth", "Height")]
    rows$Girth <- rows$Girth * seq(0.5, 2, length.out = 217)
    rows$Girth[1] <- NA
    rows$Height[2] <- NA
    rownames(rows) <- NULL
    rows
  },
  expect = list(response = earth_type("response"), link = earth_type("link"))
)

case(
  "earth-binomial",
  fit = function() earth::earth(survived ~ ., earth_data(), degree = 2, glm = list(family = binomial)),
  rows = earth_passengers,
  expect = list(response = earth_type("response"), link = earth_type("link"), class = earth_class)
)

case(
  "earth-two-classes",
  fit = function() earth::earth(sex ~ pclass + age + sibsp, earth_data()),
  rows = function() earth_passengers()[, c("pclass", "age", "sibsp")],
  expect = list(response = earth_type("response"), link = earth_type("link"), class = earth_class)
)

case(
  "earth-three-classes",
  fit = function() {
    library(earth)
    earth(pclass ~ sex + age + parch, earth_data(), glm = list(family = binomial))
  },
  rows = function() earth_passengers()[, c("sex", "age", "parch")],
  expect = list(response = earth_type("response"), link = earth_type("link"), class = earth_class)
)

case(
  "earth-xy",
  fit = function() earth::earth(mtcars[, c("wt", "hp", "disp")], mtcars$mpg, degree = 2),
  rows = function() {
    rows <- mtcars[rep(1:32, 8), c("wt", "hp", "disp")]
    rows$wt <- rows$wt * seq(-0.5, 2, length.out = 256)
    rows$hp[1:2] <- c(NA, 1e9)
    rows[3, ] <- NA
    rownames(rows) <- NULL
    rows
  },
  expect = list(response = earth_type("response"), link = earth_type("link"))
)
