skip_if_not_installed("prophet")

days <- data.frame(ds = as.Date("2020-01-01") + 0:199, y = sin(0:199 / 20), promo = rep(c(0, 1, 0), length.out = 200))

fitted_prophet <- function(...) suppressMessages(prophet::prophet(..., uncertainty.samples = 10))

test_that("rows are answered in the order in which they came, though predict() sorts them, and draw nothing", {
  served <- opened(fitted_prophet(days[c("ds", "y")]))
  expect_identical(input_types(served), "date")
  expect_identical(names(served$description$outputs), c("response", "components"))
  rows <- days[c(9, 3, 7, 3), ]
  expected <- predict(served$model, rows)$yhat[c(4, 1, 3, 2)]
  set.seed(1)
  before <- .Random.seed
  expect_scored(served, rows, "response", expected)
  expect_identical(.Random.seed, before)
})

test_that("regressors, conditions and limits are inputs, and a country's days off are found", {
  model <- prophet::add_regressor(fitted_prophet(growth = "logistic", fit = FALSE), "promo")
  model <- prophet::add_seasonality(model, "week", 7, 3, condition.name = "open")
  # As add_country_holidays() leaves it, which needs the package attached as well.
  model$country_holidays <- "DE"
  attachNamespace("prophet")
  model <- suppressMessages(prophet::fit.prophet(model, cbind(days, open = TRUE, cap = 3)))
  rows <- cbind(days[1:4, ], open = c(TRUE, FALSE), cap = 3)
  expected <- predict(model, rows)$yhat
  detach("package:prophet")
  served <- opened(model)
  expect_identical(input_names(served), c("ds", "cap", "promo", "open"))
  expect_identical(input_types(served), c("date", "numeric", "numeric", "logical"))
  expect_false(any(takes_missing(served)))
  expect_scored(served, rows, "response", expected)
  expect_false(exists("generated_holidays", envir = globalenv(), inherits = FALSE))
})

test_that("times that are no days are asked for as times, in prophet's zone", {
  hours <- data.frame(ds = as.POSIXct("2020-01-01", tz = "GMT") + 3600 * 0:199, y = cos(0:199))
  served <- opened(fitted_prophet(hours))
  expect_identical(input_types(served), "datetime")
  expect_scored(served, hours[1:3, ], "response", predict(served$model, hours[1:3, ])$yhat)
})

test_that("a prophet that was not fitted is refused with what to save", {
  expect_refused("not_a_model", "save what fit.prophet\\(m, df\\) returned", opened(fitted_prophet(fit = FALSE)))
})
