# mlr's models: classes with and without probabilities, numbers with standard errors, a wrapper, several labels.

mlr_data <- function() {
  set.seed(1)
  data <- data.frame(
    x = rnorm(300), z = runif(300, 1, 9), site = factor(sample(c("Bern", "Z\u00fcrich", "Genf"), 300, TRUE)),
    grade = factor(sample(c("low", "mid", "high"), 300, TRUE), c("low", "mid", "high"))
  )
  data$kind <- factor(ifelse(data$x + rnorm(300, 0, 0.5) > 0, "\u00fcber", ifelse(data$z > 5, "mid", "low")))
  data$y <- data$x + data$z + as.integer(data$site) + rnorm(300)
  data
}

mlr_rows <- function() {
  rows <- mlr_data()[1:220, c("x", "z", "site", "grade")]
  rows$x[1:3] <- c(-1e3, 0.1 + 0.2, 30)
  rows
}

mlr_gaps <- function() {
  rows <- mlr_rows()
  rows$x[4:6] <- NA
  rows$site[7] <- NA
  rows
}

mlr_fit <- function(learner, task) {
  mlr::configureMlr(show.info = FALSE)
  mlr::train(learner, task)
}

mlr_column <- function(name) function(model, rows) predict(model, newdata = rows)$data[[name]]

mlr_columns <- function(kind) {
  function(model, rows) {
    found <- predict(model, newdata = rows)$data
    found <- found[startsWith(names(found), kind)]
    names(found) <- substring(names(found), nchar(kind) + 1)
    as.matrix(found)
  }
}

case(
  "mlr-classes",
  fit = function() {
    mlr_fit(mlr::makeLearner("classif.rpart", predict.type = "prob"),
            mlr::makeClassifTask(data = mlr_data()[c("x", "z", "site", "kind")], target = "kind"))
  },
  rows = function() mlr_gaps()[c("x", "z", "site")],
  expect = list(class = mlr_column("response"), prob = mlr_columns("prob."))
)

case(
  "mlr-class-alone",
  fit = function() {
    mlr_fit(mlr::makeLearner("classif.lda"),
            mlr::makeClassifTask(data = mlr_data()[c("x", "z", "site", "kind")], target = "kind"))
  },
  rows = function() mlr_rows()[c("x", "z", "site")],
  expect = list(class = mlr_column("response"))
)

case(
  "mlr-numbers",
  fit = function() {
    mlr_fit(mlr::makeLearner("regr.lm", predict.type = "se"),
            mlr::makeRegrTask(data = mlr_data()[c("x", "z", "site", "y")], target = "y"))
  },
  rows = function() mlr_rows()[c("x", "z", "site")],
  expect = list(response = mlr_column("response"), se = mlr_column("se"))
)

case(
  "mlr-ordered",
  fit = function() {
    data <- transform(mlr_data(), grade = factor(grade, ordered = TRUE))
    mlr_fit(mlr::makeLearner("regr.rpart"), mlr::makeRegrTask(data = data[c("x", "grade", "y")], target = "y"))
  },
  rows = function() mlr_gaps()[c("x", "grade")],
  expect = list(response = function(model, rows) {
    predict(model, newdata = transform(rows, grade = factor(grade, ordered = TRUE)))$data$response
  })
)

case(
  "mlr-labels",
  fit = function() {
    data <- transform(mlr_data()[c("x", "z")], warm = x > 0, wet = z > 5)
    learner <- mlr::makeLearner("classif.rpart", predict.type = "prob")
    mlr_fit(mlr::makeMultilabelBinaryRelevanceWrapper(learner),
            mlr::makeMultilabelTask(data = data, target = c("warm", "wet")))
  },
  rows = function() mlr_gaps()[c("x", "z")],
  expect = list(class = mlr_columns("response."), prob = mlr_columns("prob."))
)
