test_that("an ar that keeps its series takes a horizon and answers response and interval", {
  series <- ts(log(lynx))
  model <- ar(series)
  steps <- predict(model, n.ahead = 9)
  model$x <- series
  width <- qnorm(0.9) * steps$se
  served <- opened(model)
  expect_steps(served, 9L, steps$pred, list(steps$pred, steps$pred - width, steps$pred + width))
  expect_identical(served$description$package, "stats")
})

test_that("an ar of a series that comes with R is served, whatever the method", {
  for (method in c("yule-walker", "burg", "ols", "mle")) {
    model <- ar(lh, method = method)
    steps <- predict(model, n.ahead = 3)
    width <- qnorm(0.9) * steps$se
    expect_steps(opened(model), 3L, steps$pred, list(steps$pred, steps$pred - width, steps$pred + width))
  }
})

test_that("an ar whose series is not there, or another of that name, is refused with the cure", {
  y <- ts(rnorm(50))
  expect_refused("predict_fails", "series `y`.*model\\$x <- y; saveRDS", opened(ar(y, order.max = 2)))
  lh <- rev(datasets::lh) + rnorm(48)
  expect_refused("predict_fails", "model\\$x <- lh", opened(ar(lh)))
})

test_that("an ar of several series answers a column each", {
  both <- ts.union(BJsales.lead, BJsales = BJsales - 150)
  model <- ar(both)
  steps <- predict(model, n.ahead = 4, se.fit = FALSE)
  model$x <- both
  served <- opened(model)
  expect_identical(names(served$description$options), "h")
  expect_identical(names(served$description$outputs), "response")
  reply <- scorer_of(served)(list(), "response", options = list(h = 4L))
  expect_identical(restored(reply), bare(steps))
})
