# bundle is not in Debian.
by_hand <- structure(list(object = "serialized", situate = identity), class = c("bundled_xgb.Booster", "bundle"))

test_that("a bundle without its package is refused with the name of the package", {
  skip_if(length(find.package("bundle", quiet = TRUE)) > 0L, "bundle is installed")
  expect_refused("package_missing", "^bundle is not installed", tandem$open_model(as_file(by_hand)))
})

test_that("a bundle is served as the model within, and one that cannot be made again is refused with the cause", {
  kept <- mget(c("load_package", "unbundled"), envir = tandem)
  on.exit(list2env(kept, tandem))
  tandem$load_package <- function(package) invisible()
  tandem$unbundled <- function(model) lm(dist ~ speed, cars)
  served <- opened(by_hand)
  expect_scored(served, cars[1:3, ], "response", bare(predict(served$model, cars[1:3, ])))
  tandem$unbundled <- function(model) stop("there is no package called 'xgboost'")
  expect_refused("unreadable", "no package called 'xgboost'; if a package is missing, install", opened(by_hand))
})

test_that("a real bundle is answered as what it holds", {
  skip_if_not_installed("bundle")
  skip_if_not_installed("xgboost")
  rows <- as.matrix(mtcars[2:3])
  model <- xgboost::xgboost(rows, mtcars$mpg, nrounds = 3, verbose = 0)
  expect_s3_class(tandem$open_model(as_file(bundle::bundle(model))), "xgb.Booster")
})
