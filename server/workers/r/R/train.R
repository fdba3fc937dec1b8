# caret::train, whatever model it chose. Made from a formula, a row with a missing value gets NA, as predict() leaves it
# out; a model that imputes them has a sidecar that sets the argument na.action to na.pass. Made from x and y or from a
# recipe, it is for the chosen model to say what becomes of missing values.

model_package.train <- function(model) "caret"

# How the chosen model predicts is kept as functions that expect caret, and at times the model's package, attached.
make_ready.train <- function(model, packages) {
  packages <- c(packages, "caret", model$modelInfo$library)
  for (package in packages) load_package(package)
  for (part in c("predict", "prob")) {
    if (is.function(model$modelInfo[[part]])) model$modelInfo[[part]] <- supplied(model$modelInfo[[part]], packages)
  }
  make_ready.default(model, packages)
}

supplied <- function(f, packages) {
  home <- environment(f)
  lacking <- lacking_functions(unique(called_functions(body(f))), home)
  found <- lapply(stats::setNames(nm = lacking), find_function, packages)
  found <- Filter(Negate(is.null), found)
  if (length(found) > 0L) environment(f) <- list2env(found, parent = home)
  f
}

describe_inputs.train <- function(model) {
  frame <- predictors_of_train(model)
  if (is.null(frame)) {
    stop(tandem_condition("no_schema", paste(
      "the model keeps neither a prototype nor its training data; fit it with a caret of 2020 or later, or with",
      "trainControl(returnData = TRUE)"
    )))
  }
  # predict() takes any number where the data had whole ones.
  whole <- vapply(frame, function(column) is.integer(column) && !is.object(column), NA)
  frame[whole] <- lapply(frame[whole], as.double)
  inputs_from_frame(frame)
}

# Rows of the training data, or a prototype without rows.
predictors_of_train <- function(model) {
  data <- model$trainingData
  names <- if (inherits(model, "train.recipe")) {
    with(model$recipe$var_info, variable[role %in% "predictor"])
  } else if (!is.null(model$ptype)) {
    colnames(model$ptype)
  } else {
    setdiff(colnames(data), c(".outcome", ".weights"))
  }
  if (is.null(data)) data <- model$ptype
  if (is.null(data)) return(NULL)
  frame <- as.data.frame(data)[names]
  rows <- sample_frame(frame)
  if (is.null(rows)) frame[0L, , drop = FALSE] else rows
}

output_names.train <- function(model) {
  if (model$modelType != "Classification") return("response")
  c("class", if (gives_prob(model)) "prob")
}

# caret answers NA where ksvm was not asked to learn probabilities.
gives_prob <- function(model) {
  final <- model$finalModel
  !is.null(model$modelInfo$prob) && !(inherits(final, "ksvm") && is.null(final@prob.model[[1L]]))
}

predict_rows.train <- function(model, newdata, output, arguments) {
  answer <- switch(output,
    prob = function(newdata) without_drawing(call_predict(model, newdata, arguments, type = "prob")),
    class = function(newdata) class_of_train(model, newdata, arguments),
    function(newdata) without_drawing(call_predict(model, newdata, arguments))
  )
  if (!leaves_out_missing(model, arguments)) return(answer(newdata))
  predict_complete(newdata, answer, none = no_train_answer(model, output))
}

# With a missing value in one row, caret answers NA to all rows if the model is a ksvm.
leaves_out_missing <- function(model, arguments) {
  if (inherits(model, "train.formula")) return(is.null(arguments$na.action))
  inherits(model$finalModel, "ksvm") && !any(grepl("Impute", names(model$preProcess$method)))
}

# Where the chosen model breaks a tie between classes by chance, the first of the likeliest wins.
class_of_train <- function(model, newdata, arguments) {
  if (inherits(model$finalModel, "randomForest")) {
    model$modelInfo$predict <- function(modelFit, newdata, ...) class_of_votes(modelFit, newdata, list())
  }
  before <- random_state()
  on.exit(restore_random_state(before))
  class <- call_predict(model, newdata, arguments)
  if (identical(before, random_state()) || !gives_prob(model)) return(class)
  prob <- call_predict(model, newdata, arguments, type = "prob")
  class[] <- names(prob)[max.col(as.matrix(prob), ties.method = "first")]
  class
}

no_train_answer <- function(model, output) {
  levels <- as.vector(model$levels)
  switch(output, class = no_labels(levels), prob = no_columns(levels), numeric())
}
