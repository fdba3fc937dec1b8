skip_if_not_installed("gbm")

cars <- transform(mtcars[rep(1:32, 3), ], cyl = factor(cyl), gear = factor(gear, ordered = TRUE))

test_that("a gbm answers response and link with all its trees or as many as the request says", {
  set.seed(1)
  served <- opened(gbm::gbm(am ~ wt + log(hp) + cyl + gear, data = cars, distribution = "bernoulli", n.trees = 50))
  expect_identical(input_names(served), c("wt", "hp", "cyl", "gear"))
  expect_identical(input_types(served), c("numeric", "numeric", "factor", "ordered"))
  expect_identical(unique(takes_missing(served)), TRUE)
  trees <- served$description$options$n.trees
  expect_identical(trees[c("type", "default", "minimum")], list(type = "integer", default = 50L, minimum = 1L))
  expect_equal(trees$maximum, 50)
  frame <- with_missing(cars[1:32, ], c("wt", "hp", "cyl", "gear"))
  for (type in c("response", "link")) {
    expect_scored(served, frame, type, bare(predict(served$model, frame, n.trees = 50, type = type)))
    expected <- bare(predict(served$model, frame, n.trees = 7, type = type))
    expect_scored(served, frame, type, expected, list(n.trees = 7))
  }
  expect_true(proof_of(served)$rowwise)
})

test_that("it takes the trees that did best on the test part, or in cross-validation", {
  set.seed(1)
  tested <- gbm::gbm(mpg ~ wt, data = cars, distribution = "gaussian", n.trees = 60, shrinkage = 0.9,
                     train.fraction = 0.5)
  utils::capture.output({
    folded <- gbm::gbm(am ~ wt + hp, data = cars, distribution = "bernoulli", n.trees = 60, shrinkage = 0.9,
                       cv.folds = 2, n.cores = 1)
  })
  for (model in list(tested, folded)) {
    served <- opened(model)
    expect_lt(served$description$options$n.trees$default, 60)
    expected <- suppressMessages(predict(model, cars[1:32, ]))
    expect_scored(served, cars[1:32, ], "link", bare(expected))
  }
})

test_that("one made from x and y takes the columns in its own order", {
  set.seed(1)
  served <- opened(gbm::gbm.fit(
    cars[, c("cyl", "wt")], cars$mpg, distribution = "gaussian", n.trees = 20, verbose = FALSE
  ))
  expect_identical(input_names(served), c("cyl", "wt"))
  expected <- predict(served$model, cars[1:32, c("cyl", "wt")], n.trees = 20)
  expect_scored(served, cars[1:32, ], "response", bare(expected))
})

test_that("several classes have a column each", {
  set.seed(1)
  model <- suppressWarnings(gbm::gbm(Species ~ ., data = iris, distribution = "multinomial", n.trees = 10))
  served <- opened(model)
  expected <- predict(model, iris, n.trees = 10, type = "response")[, , 1]
  expect_scored(served, iris, "response", bare(expected))
})
