stated <- list(
  list(name = "x", type = "numeric", levels = NULL, na = TRUE),
  list(name = "group", type = "factor", levels = c("a", "b"), na = FALSE)
)

test_that("a function of a data frame answers for the columns that a sidecar states", {
  rates <- c(a = 1.5, b = 2)
  make <- function(rates) function(df, times = 1) times * df$x * rates[as.character(df$group)]
  model <- tandem$open_model(as_file(make(rates)))
  expect_null(tandem$describe_model(model)$inputs)
  served <- list(model = model, description = tandem$describe_model(model, inputs = stated))
  expect_identical(served$description$class, "function")
  rows <- data.frame(x = c(1, 2, NA), group = factor(c("a", "b", "a")))
  expect_scored(served, rows, "response", c(1.5, 4, NA))
  expect_scored(served, rows, "response", c(3, 8, NA), list(times = 2L))
  expect_true(proof_of(served)$rowwise)
})

test_that("functions of packages that the sidecar names are supplied to it alone", {
  f <- eval(quote(function(df) {
    helper <- function(v) v
    helper(fractions(df$x) + 1)
  }), globalenv())
  path <- as_file(f)
  model <- tandem$open_model(path, "MASS")
  scorer <- tandem$make_scorer(model, stated[1])
  expect_identical(scorer(list(c(1, 2)), "response")[[1]], c(2, 3))
  expect_false("package:MASS" %in% search())
  alone <- tandem$make_scorer(tandem$open_model(path), stated[1])
  expect_match(alone(list(1), "response")[[5]], "fractions")
})
