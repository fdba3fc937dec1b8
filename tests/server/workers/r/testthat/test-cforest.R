skip_if_not_installed("partykit")

test_that("a forest answers class and prob, and draws no random numbers for missing values", {
  set.seed(1)
  served <- opened(partykit::cforest(Species ~ ., iris, ntree = 5L))
  frame <- iris[c(1:5, 51:55, 101:105), ]
  for (type in c("class", "prob")) {
    expected <- predict(served$model, frame, type = if (type == "class") "response" else type)
    expect_scored(served, frame, type, bare(expected))
  }
  scorer <- scorer_of(served)
  columns <- as_columns(with_missing(frame, names(iris)[1:4]), served$description$inputs)
  before <- .Random.seed
  first <- scorer(columns, "prob")
  expect_null(first[[5]])
  expect_identical(.Random.seed, before)
  expect_identical(scorer(columns, "prob"), first)
})

test_that("a regression with factors and terms", {
  set.seed(1)
  cars <- transform(mtcars, cyl = factor(cyl), gear = as.integer(gear))
  served <- opened(partykit::cforest(mpg ~ log(wt) + cyl + gear, cars, ntree = 5L))
  expect_identical(input_types(served), c("numeric", "factor", "numeric"))
  expect_scored(served, cars[1:9, ], "response", bare(predict(served$model, cars[1:9, ])))
})
