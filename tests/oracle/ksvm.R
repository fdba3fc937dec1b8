# A row with a missing value is left out by predict(), or refused: the server answers NA. The columns of the decision
# values have no names in R.

ksvm_flowers <- function() {
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

ksvm_by_row <- function(model, rows, type) {
  complete <- complete.cases(rows)
  found <- kernlab::predict(model, rows[complete, ], type = type)
  from <- match(seq_along(complete), which(complete))
  if (is.null(dim(found))) found[from] else found[from, , drop = FALSE]
}

ksvm_decision <- function(model, rows) {
  found <- ksvm_by_row(model, rows, "decision")
  pairs <- list(c(1, 2), c(1, 3), c(2, 3))[seq_len(ncol(found))]
  if (kernlab::type(model) == "one-svc") return(found)
  # A positive value speaks for the second of the pair.
  colnames(found) <- sapply(pairs, function(p) paste0(kernlab::lev(model)[p[2]], "/", kernlab::lev(model)[p[1]]))
  found
}

ksvm_response <- function(model, rows) ksvm_by_row(model, rows, "response")

case(
  "ksvm-rbf",
  fit = function() kernlab::ksvm(Species ~ ., iris, prob.model = TRUE),
  rows = ksvm_flowers,
  expect = list(
    class = ksvm_response,
    prob = function(model, rows) ksvm_by_row(model, rows, "probabilities"),
    decision = ksvm_decision
  )
)

case(
  "ksvm-matrix-two-classes",
  fit = function() {
    kernlab::ksvm(as.matrix(iris[51:150, 1:4]), droplevels(iris$Species[51:150]), kernel = "vanilladot", scaled = FALSE)
  },
  rows = ksvm_flowers,
  expect = list(class = ksvm_response, decision = ksvm_decision)
)

case(
  "ksvm-regression",
  fit = function() {
    cars <- transform(mtcars, cyl = factor(cyl, labels = c("four", "six", "eight")), am = am == 1)
    kernlab::ksvm(mpg ~ log(wt) + hp + cyl + am, cars, kernel = "polydot")
  },
  rows = function() {
    rows <- mtcars[rep(1:32, 8), c("wt", "hp", "cyl", "am")]
    rows$wt <- rows$wt * seq(0.5, 1.5, length.out = 256)
    rows$cyl <- factor(rows$cyl, labels = c("four", "six", "eight"))
    rows$am <- rows$am == 1
    rows
  },
  expect = list(response = function(model, rows) kernlab::predict(model, rows))
)

case(
  "ksvm-one-class",
  fit = function() kernlab::ksvm(as.matrix(iris[1:50, 1:4]), type = "one-svc", nu = 0.1),
  rows = ksvm_flowers,
  expect = list(class = ksvm_response, decision = ksvm_decision)
)

case(
  "ksvm-crammer-singer",
  fit = function() kernlab::ksvm(Species ~ ., iris, type = "spoc-svc", kernel = "laplacedot"),
  rows = ksvm_flowers,
  expect = list(class = ksvm_response)
)
