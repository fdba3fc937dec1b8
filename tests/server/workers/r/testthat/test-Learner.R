# mlr3 is not in Debian: what it leaves is built by hand where it is not installed.
learner_of <- function(state, type = "classif") {
  parts <- list(state = state, task_type = type, predict_type = "prob", packages = "mlr3")
  structure(list2env(parts), class = c("LearnerClassifRpart", "LearnerClassif", "Learner", "R6"))
}

task <- list(
  feature_types = data.frame(id = c("size", "kind"), type = c("numeric", "ordered")),
  col_info = data.frame(id = c("kind", "size", "y"), levels = I(list(c("a", "b"), NULL, c("no", "yes"))))
)

test_that("a learner's inputs are the features of its task, with or without a prototype", {
  prototype <- data.frame(y = factor("no")[0], kind = factor("b", c("a", "b"), ordered = TRUE)[0], size = numeric())
  for (state in list(list(train_task = task), list(train_task = task, data_prototype = prototype))) {
    found <- eval(quote(describe_inputs(model)), list(model = learner_of(state)), tandem)$inputs
    expect_identical(vapply(found, `[[`, "", "name"), c("size", "kind"))
    expect_identical(vapply(found, `[[`, "", "type"), c("numeric", "ordered"))
    expect_identical(found[[2]]$levels, c("a", "b"))
  }
})

test_that("a learner that is not trained, and a missing package, are named", {
  expect_refused("not_a_model", "save it after learner\\$train\\(task\\)", opened(learner_of(NULL)))
  skip_if(length(find.package("mlr3", quiet = TRUE)) > 0L, "mlr3 is installed")
  expect_refused("package_missing", "^mlr3 is not installed: install it with install.pack", opened(learner_of(list(1))))
})

test_that("real learners are answered as predict_newdata() does", {
  skip_if_not_installed("mlr3")
  cars_of <- transform(mtcars, gear = factor(gear), am = am == 1, cyl = ordered(cyl))[c("gear", "am", "cyl", "wt")]
  learner <- mlr3::lrn("classif.rpart", predict_type = "prob")
  learner$train(mlr3::as_task_classif(cars_of, target = "gear"))
  served <- opened(learner)
  expect_setequal(input_types(served), c("logical", "ordered", "numeric"))
  rows <- cars_of[1:4, c("am", "cyl", "wt")]
  said <- learner$predict_newdata(rows)
  expect_scored(served, rows, "class", as.character(said$response))
  expect_scored(served, rows, "prob", bare(said$prob))
  skip_if_not_installed("mlr3learners")
  learner <- getExportedValue("mlr3learners", "LearnerRegrLM")$new()
  learner$predict_type <- "se"
  learner$train(mlr3::as_task_regr(cars_of[c("wt", "am")], target = "wt"))
  served <- opened(learner)
  expect_scored(served, rows, "response", learner$predict_newdata(rows)$response)
  expect_scored(served, rows, "se", bare(learner$predict_newdata(rows)$se))
})
