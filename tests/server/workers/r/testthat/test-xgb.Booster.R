# xgboost is not in Debian: what needs it is tested where it is installed.
without <- structure(list(handle = NULL, raw = as.raw(1:9), feature_names = "x"), class = "xgb.Booster")

test_that("without the package it is named, with the way to do without it", {
  skip_if(length(find.package("xgboost", quiet = TRUE)) > 0L, "xgboost is installed")
  for (model in list(without, charToRaw("{L00"))) {
    expect_refused("package_missing", "^xgboost is not installed: install it with install.packages", opened(model))
    expect_refused("package_missing", "xgb.save\\(model, \"NAME.ubj\"\\) among the Python models", opened(model))
  }
})

test_that("a booster that was saved without its trees is refused with two ways to save it", {
  expect_refused("unreadable", "xgb.Booster.complete\\(model\\) before saveRDS", opened(replace(without, "raw", NULL)))
})

test_that("other bytes are no booster", {
  expect_refused("not_a_model", "an object of class raw", opened(as.raw(0:9)))
})

boosted <- function(x, y, ...) xgboost::xgboost(x, y, nrounds = 3, verbose = 0, ...)

test_that("its columns are numbers that may be missing, and its answers those of predict() for a matrix", {
  skip_if_not_installed("xgboost")
  skip_if(utils::packageVersion("xgboost") >= "2", "xgboost() takes other arguments")
  served <- opened(boosted(as.matrix(mtcars[2:4]), mtcars$am, objective = "binary:logistic"))
  expect_identical(input_names(served), names(mtcars)[2:4])
  expect_true(all(takes_missing(served)))
  rows <- with_missing(mtcars[1:6, 2:4], names(mtcars)[2:4])
  expect_scored(served, rows, "response", predict(served$model, as.matrix(rows)))
  expect_scored(served, rows, "link", predict(served$model, as.matrix(rows), outputmargin = TRUE))
  plain <- opened(boosted(as.matrix(mtcars[2:4]), mtcars$mpg))
  expect_identical(names(plain$description$outputs), "response")
})

test_that("of several classes each is a column", {
  skip_if_not_installed("xgboost")
  skip_if(utils::packageVersion("xgboost") >= "2", "xgboost() takes other arguments")
  y <- as.integer(iris$Species) - 1
  served <- opened(boosted(as.matrix(iris[1:4]), y, objective = "multi:softprob", num_class = 3))
  rows <- iris[c(1, 51, 101), 1:4]
  expected <- predict(served$model, as.matrix(rows), reshape = TRUE)
  expect_scored(served, rows, "response", matrix(expected, 3, dimnames = list(NULL, c("0", "1", "2"))))
})

test_that("the bytes of xgb.serialize() and xgb.save.raw() are a booster, whose columns only a sidecar can name", {
  skip_if_not_installed("xgboost")
  skip_if(utils::packageVersion("xgboost") >= "2", "xgboost() takes other arguments")
  model <- boosted(as.matrix(mtcars[2:4]), mtcars$mpg)
  for (bytes in list(xgboost::xgb.serialize(model), xgboost::xgb.save.raw(model))) {
    expect_refused("no_schema", "the names of its 3 columns", opened(bytes))
    read <- tandem$open_model(as_file(bytes))
    inputs <- tandem$inputs_from_names(names(mtcars)[2:4])$inputs
    reply <- tandem$make_scorer(read, inputs)(as.list(mtcars[2:4]), "response")
    expect_identical(reply[[1]], predict(model, as.matrix(mtcars[2:4])))
  }
})
