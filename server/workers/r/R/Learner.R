# mlr3's learners, of whatever package, and graphs of mlr3pipelines: objects of R6 whose state has the task that they
# were trained on, without its rows.

model_package.Learner <- function(model) "mlr3"

make_ready.Learner <- function(model, packages) {
  if (is.null(model$state)) {
    stop(tandem_condition("not_a_model", paste(
      "the file holds a learner of mlr3 that is not trained; save it after learner$train(task)"
    )))
  }
  for (package in c(packages, "mlr3", model$packages)) load_package(package)
  make_ready.default(model, packages)
}

describe_inputs.Learner <- function(model) {
  task <- model$state$train_task
  features <- task$feature_types
  if (is.null(features)) return(NULL)
  prototype <- as.data.frame(model$state$data_prototype)
  levels <- stats::setNames(task$col_info$levels, task$col_info$id)
  if (all(features$id %in% names(prototype))) return(inputs_from_frame(prototype[features$id]))
  columns <- Map(column_of_type, features$id, features$type, levels[features$id])
  inputs_from_frame(as.data.frame(columns, optional = TRUE))
}

# A column without rows, made from how mlr3 before 0.14 describes it.
column_of_type <- function(name, type, levels) {
  switch(type,
    factor = factor(character(), levels),
    ordered = factor(character(), levels, ordered = TRUE),
    POSIXct = structure(numeric(), class = c("POSIXct", "POSIXt"), tzone = "UTC"),
    numeric = , integer = , logical = , character = vector(type, 0L),
    stop(untakeable(name, type))
  )
}

output_names.Learner <- function(model) {
  class <- model$task_type == "classif"
  c(if (class) "class" else "response", setdiff(model$predict_type, "response"))
}

predict_rows.Learner <- function(model, newdata, output, arguments) {
  prediction <- do.call(model$predict_newdata, c(list(newdata), arguments))
  found <- prediction[[if (output == "class") "response" else output]]
  if (is.matrix(found)) rownames(found) <- NULL
  found
}
