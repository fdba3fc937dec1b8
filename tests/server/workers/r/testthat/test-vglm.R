skip_if_not_installed("VGAM")

cars_of <- transform(mtcars, gear = factor(gear), am = factor(am, labels = c("auto", "man")))

vgam_says <- function(served, rows, type) {
  found <- VGAM::predict(served$model, rows, type = type)
  dimnames(found) <- if (!is.null(dim(found))) list(NULL, colnames(found))
  found
}

test_that("classes are columns of the response, and linear predictors columns of the link", {
  served <- opened(VGAM::vglm(gear ~ wt + am, VGAM::multinomial, cars_of))
  expect_identical(input_types(served), c("numeric", "factor"))
  expect_identical(served$description$outputs$response$columns, c("3", "4", "5"))
  rows <- cars_of[1:5, ]
  for (type in c("response", "link")) expect_scored(served, rows, type, vgam_says(served, rows, type))
})

test_that("a row with a missing value is answered NA, though predict() leaves it out or fails", {
  rows <- with_missing(cars_of[1:4, ], c("wt", "am"))
  attachNamespace("VGAM")
  models <- list(vgam(carb ~ s(wt) + am, poissonff, cars_of), vglm(carb ~ sm.poly(wt, 2) + am, poissonff, cars_of))
  expected <- lapply(models, function(model) as.vector(VGAM::predict(model, rows[3:4, ], type = "response")))
  detach("package:VGAM")
  for (k in seq_along(models)) {
    served <- opened(models[[k]])
    expect_identical(takes_missing(served), c(TRUE, TRUE))
    expect_scored(served, rows, "response", c(NA, NA, expected[[k]]))
  }
})

test_that("a model of reduced rank, which keeps no classes of its columns, takes numbers and no guess", {
  served <- opened(VGAM::rrvglm(gear ~ wt + hp, VGAM::multinomial, cars_of))
  expect_identical(input_types(served), c("numeric", "numeric"))
  expect_scored(served, cars_of[1:5, ], "response", vgam_says(served, cars_of[1:5, ], "response"))
})
