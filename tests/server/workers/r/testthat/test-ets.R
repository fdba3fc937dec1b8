skip_if_not_installed("forecast")

test_that("a model with a formula for its interval answers as forecast() does", {
  served <- opened(forecast::ets(USAccDeaths, model = "ANA"))
  expect_identical(served$description$package, "forecast")
  expect_true(served$description$horizon)
  expect_identical(served$description$options$h$maximum, 10000L)
  expected <- forecast::forecast(served$model, h = 30, level = 80)
  scorer <- scorer_of(served)
  expect_identical(scorer(list(), "response", options = list(h = 30L))[[1]], as.vector(expected$mean))
  interval <- scorer(list(), "interval", options = list(h = 30L, level = 80))
  expect_identical(interval[[1]], unname(lapply(expected[c("mean", "lower", "upper")], as.vector)))
})

test_that("a simulated interval is always the same and leaves R's random numbers alone", {
  served <- opened(forecast::ets(AirPassengers, model = "MMM"))
  expect_identical(served$description$options$h$maximum, 1000L)
  set.seed(1)
  before <- .Random.seed
  expected <- forecast::forecast(served$model, h = 3, level = 95)
  set.seed(1)
  scorer <- scorer_of(served)
  interval <- scorer(list(), "interval", options = list(h = 3L))
  expect_identical(interval[[1]], unname(lapply(expected[c("mean", "lower", "upper")], as.vector)))
  expect_identical(scorer(list(), "response", options = list(h = 3L))[[1]], as.vector(expected$mean))
  expect_identical(.Random.seed, before)
})
