# Missing values are left out of the product.

bayes_passengers <- function() {
  set.seed(2)
  data.frame(
    class = factor(sample(c("1st", "2nd", "3rd", "crew"), 400, TRUE), c("1st", "2nd", "3rd", "crew", "stowaway")),
    age = round(runif(400, 0, 80), 1),
    alone = sample(c(TRUE, FALSE), 400, TRUE),
    port = sample(c("Cherbourg", "Qu\u00e9bec", "Southampton"), 400, TRUE)
  )
}

bayes_rows <- function() {
  rows <- bayes_passengers()
  rows$class[1:20] <- NA
  rows$age[15:40] <- NA
  rows$age[41:45] <- c(-1, 0, 1e9, -1e300, 200)
  rows$alone[30:50] <- NA
  rows$port[46:60] <- NA
  rows[61, ] <- NA
  rows$class[62] <- "stowaway"
  rows
}

bayes_class <- function(model, rows) predict(model, rows)
bayes_prob <- function(model, rows) predict(model, rows, type = "raw")

case(
  "bayes-passengers",
  fit = function() {
    data <- bayes_passengers()
    data$saved <- factor(ifelse(data$age < 20 | data$class == "1st", "yes", "no"))
    e1071::naiveBayes(saved ~ ., data, laplace = 1)
  },
  rows = bayes_rows,
  expect = list(class = bayes_class, prob = bayes_prob)
)

case(
  "bayes-iris",
  fit = function() e1071::naiveBayes(iris[, -5], iris$Species),
  rows = function() {
    rows <- iris[rep(1:150, 2), 1:4]
    rows$Sepal.Length[1:50] <- NA
    rows[151:300, ] <- rows[151:300, ] * 2
    rows
  },
  expect = list(class = bayes_class, prob = bayes_prob)
)

case(
  "bayes-table",
  fit = function() e1071::naiveBayes(Survived ~ ., Titanic),
  rows = function() {
    known <- dimnames(Titanic)
    expand.grid(Class = c(known$Class, NA), Sex = c(known$Sex, NA), Age = known$Age)[rep(1:30, 7), ]
  },
  expect = list(class = bayes_class, prob = bayes_prob)
)
