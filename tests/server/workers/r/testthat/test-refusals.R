expect_told <- function(object, pattern, packages = character()) {
  expect_refused("not_a_model", pattern, opened(object, packages))
}

test_that("what is saved beside a model is refused with what to save instead", {
  expect_told(kmeans(iris[1:4], 3), "a kmeans, which has no predict\\(\\).*nearest centre, saveRDS\\(local")
  curves <- survival::survfit(survival::Surv(time, status) ~ sex, survival::lung)
  expect_told(curves, "coxph; it has the output `survival`")
  expect_told(structure(list(model = structure(list(), class = "ets")), class = "forecast"), "save its model \\(ets\\)")
  expect_told(structure(list(model = list()), class = "forecast"), "a forecast, not a model.*save a model, such as ets")
  expect_told(structure(list(best.model = 1), class = "tune"), "saveRDS\\(fit\\$best.model, file\\)")
  expect_told(mgcv::gamm(mpg ~ s(wt), data = mtcars), "save its gam, saveRDS\\(fit\\$gam, file\\)")
  expect_told(structure(new.env(), class = c("Pricer", "R6")), "R6 object.*fit\\$predict\\(df\\)")
  expect_told(structure(list(), class = "recipe"), "has bake\\(\\), not predict\\(\\): save the workflow")
  expect_told(summary(lm(dist ~ speed, cars)), "the summary of a model of class lm; save the model itself")
  expect_told(t.test(extra ~ group, sleep), "the result of a test, not a model: save what the fitting function")
  expect_told(anova(lm(dist ~ speed, cars)), "a table of tests, not a model")
  of_class <- function(...) structure(list(), class = c(...))
  expect_told(of_class("logistic_reg", "model_spec"), "not fitted; save what fit\\(spec, formula, data\\)")
  expect_told(of_class("ResampleResult"), "results of resampling.*learner\\$train\\(task\\)")
  expect_told(structure(new.env(), class = c("PredictionClassif", "Prediction", "R6")), "predictions, not a model")
  expect_told(of_class("ClassifTask", "SupervisedTask", "Task"), "a task, which is data")
  expect_told(of_class("xgb.cv.synchronous"), "save what xgb.train\\(\\) returns")
})

test_that("a list of models is refused with a function that picks one, which works", {
  models <- lapply(split(mtcars, mtcars$cyl), function(rows) lm(mpg ~ wt, rows))
  expect_told(models, "a list of 3 models \\(lm\\): save one of them, saveRDS\\(fit\\[\\[\"4\"\\]\\], file\\)")
  told <- tryCatch(tandem$refuse_list(models), error = conditionMessage)
  fit <- models
  file <- tempfile()
  eval(str2lang(regmatches(told, regexpr("saveRDS\\(local.*\\), file\\)", told))))
  rows <- data.frame(which = c("8", "4"), wt = c(3, 2))
  expect_equal(unname(readRDS(file)(rows)), unname(c(predict(fit[["8"]], rows[1, ]), predict(fit[["4"]], rows[2, ]))))
  expect_told(list(1, models[[1]]), "a plain list")
})

test_that("the function for a kmeans finds the nearest centre", {
  fit <- kmeans(iris[1:4], iris[c(1, 51, 101), 1:4])
  told <- tryCatch(tandem$refuse_not_model(fit), error = conditionMessage)
  file <- tempfile()
  eval(str2lang(regmatches(told, regexpr("saveRDS\\(local.*\\), file\\)", told))))
  expect_equal(unname(readRDS(file)(iris)), unname(fit$cluster))
})

in_workspace <- function(f) {
  environment(f) <- globalenv()
  f
}

wt <- list(list(name = "wt", type = "numeric", levels = NULL, na = FALSE))

expect_cure <- function(pattern, model) {
  model <- tandem$open_model(as_file(model))
  description <- tandem$describe_model(model, inputs = wt)
  expect_match(tandem$cure_of_failure(model, description$outputs[[1]]$reason), pattern)
}

test_that("what stayed in the workspace is told by its name, with the cure", {
  expect_cure(
    "the function uses `left_behind`, which stayed in your workspace.*local\\(\\{ left_behind <- left",
    in_workspace(function(df) predict(left_behind, df))
  )
  expect_cure(
    "find `own_price`: no installed package has it.*your own.*local\\(\\{ own_price <-",
    in_workspace(function(df) own_price(df))
  )
})

test_that("a function of the analyst's own in a formula is told as such", {
  own_cap <- function(x) pmin(x, 200)
  model <- lm(mpg ~ own_cap(hp), mtcars)
  attr(model$terms, ".Environment") <- globalenv()
  pattern <- "uses `own_cap`: no installed package has it. If it is a function of your own"
  expect_refused("package_missing", pattern, opened(model))
})

test_that("a function of an installed package is told with the package", {
  expect_cure(
    "find `interpSpline`: it is of package splines; name it in the sidecar: packages: \\[splines\\]",
    in_workspace(function(df) interpSpline(df$wt, df$wt))
  )
  skip_if_not_installed("magrittr")
  expect_true("magrittr" %in% tandem$packages_exporting("%>%"))
})

test_that("a list with the labels in it is told with the function that returns them, and no row is blamed", {
  model <- in_workspace(function(df) list(classification = df$wt, z = diag(nrow(df))))
  expect_cure("\\$classification \\}\\), file\\)", model)
  expect_null(tandem$cure_of_failure(model, "NA in foreign function call"))
})

names_drafted <- function(model) vapply(tandem$draft_inputs(model), `[[`, "", "name")

test_that("a schema is drafted from the names that the model holds", {
  expect_identical(names_drafted(structure(list(feature_names = c("a", "b c")), class = "x")), c("a", "b c"))
  expect_identical(names_drafted(structure(list(coefficients = c("(Intercept)" = 1, age = 2)), class = "x")), "age")
  expect_identical(names_drafted(structure(list(), class = "x")), character())
  fit <- lm(Sepal.Length ~ Species + Petal.Width, iris)
  drafted <- tandem$draft_inputs(local({
    fit <- fit
    function(df) predict(fit, df) + df$bonus + df[["fee"]]
  }))
  expect_identical(vapply(drafted, `[[`, "", "name"), c("Species", "Petal.Width", "bonus", "fee"))
  expect_identical(drafted[[1]]$levels, levels(iris$Species))
  expect_identical(drafted[[1]]$type, "factor")
})
