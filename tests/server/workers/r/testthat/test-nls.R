test_that("the inputs of an nls are its variables, not its parameters", {
  formula <- rate ~ top[state] * conc / (half + conc)
  served <- opened(nls(formula, Puromycin, list(top = c(200, 160), half = 0.05)))
  expect_identical(input_names(served), c("state", "conc"))
  expect_identical(input_types(served), c("factor", "numeric"))
  expect_identical(served$description$example, list(state = "treated", conc = 0.02))
  frame <- with_missing(Puromycin, c("state", "conc"))
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
  expect_true(proof_of(served)$rowwise)
})

test_that("constants and functions around the formula are no inputs", {
  fit <- function() {
    scale <- 3
    decay <- function(x, rate) exp(-rate * x / scale)
    cooling <- data.frame(time = 0:40, heat = 20 + 60 * exp(-0.2 * (0:40) / 3) + sin(0:40) / 10)
    nls(heat ~ low + high * decay(time, rate), cooling, list(low = 15, high = 50, rate = 0.1))
  }
  served <- opened(fit())
  expect_identical(input_names(served), "time")
  frame <- data.frame(time = c(0, 1.5, NA, 1e300))
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
})

test_that("data of several lengths leave no classes, and still the variables are found", {
  data <- list(x = 1:20, y = 3 * exp(-0.2 * 1:20) + cos(1:20) / 100, unit = 2)
  served <- opened(nls(y ~ a * exp(-b * x / unit), data, list(a = 2, b = 0.3)))
  expect_identical(input_names(served), "x")
  expect_scored(served, data.frame(x = c(1, 30)), "response", bare(predict(served$model, data.frame(x = c(1, 30)))))
})

test_that("a function that is not in the file is named with the cure", {
  assign("passing_decay", function(x, rate) exp(-rate * x), globalenv())
  on.exit(suppressWarnings(rm("passing_decay", envir = globalenv())))
  formula <- y ~ a * passing_decay(x, b)
  environment(formula) <- globalenv()
  model <- nls(formula, data.frame(x = 1:20, y = 3 * exp(-0.1 * 1:20) + cos(1:20) / 100), list(a = 2, b = 0.3))
  path <- as_file(model)
  rm("passing_decay", envir = globalenv())
  expect_refused("no_schema", "passing_decay\\(\\)", tandem$describe_model(tandem$open_model(path)))
})
