# glmnet::glmnet, all families, also relaxed. predict() takes a matrix, so the inputs are the columns of the one it
# was fitted to, all numeric. Without `s` there is a column per lambda of the path, as predict() does.

model_package.glmnet <- function(model) "glmnet"

describe_inputs.glmnet <- function(model) {
  beta <- if (is.list(model$beta)) model$beta[[1L]] else model$beta
  names <- rownames(beta)
  if (isTRUE(model$offset)) {
    if (inherits(model, c("multnet", "mrelnet"))) {
      stop(tandem_condition("no_schema", paste(
        "the glmnet was fitted with an offset for each of several responses, which rows cannot carry; fit it without"
      )))
    }
    names <- c(names, offset_name)
  }
  inputs_from_names(names)
}

# As predict() calls the argument.
offset_name <- "newoffset"

output_names.glmnet <- function(model) {
  if (inherits(model, c("elnet", "mrelnet"))) return("response")
  c("response", if (inherits(model, c("lognet", "multnet"))) "class", "link")
}

predict_options.glmnet <- function(model) {
  list(
    s = list(type = "numeric", default = NULL, minimum = 0, maximum = NULL, values = NULL),
    gamma = if (inherits(model, "relaxed")) gamma_option(1)
  )[c(TRUE, inherits(model, "relaxed"))]
}

gamma_option <- function(default) {
  list(type = "numeric", default = default, minimum = 0, maximum = 1, values = NULL)
}

predict_rows.glmnet <- function(model, newdata, output, arguments) {
  predict_glmnet(model, model, newdata, output, arguments)
}

# `fit` is the path of models, which a cv.glmnet holds.
predict_glmnet <- function(model, fit, newdata, output, arguments) {
  offset <- newdata[[offset_name]]
  newdata[[offset_name]] <- NULL
  newx <- as.matrix(newdata)
  answer <- function(type, rows) {
    if (isTRUE(fit$offset)) arguments$newoffset <- offset[rows]
    call_predict(model, newx[rows, , drop = FALSE], arguments, type = type)
  }
  if (output == "class") return(glmnet_class(answer, newx, fit$classnames))
  answer(output, seq_len(nrow(newx)))
}

# predict() gives text, and fails on a row with a missing value if just one other has a class.
glmnet_class <- function(answer, newx, levels) {
  rows <- seq_len(nrow(newx))
  known <- if (anyNA(newx)) which(!is.na(rowSums(answer("link", rows)))) else rows
  found <- answer("class", if (length(known) > 0L) known else rows)
  labels <- matrix(as.character(found), ncol = length(found) / max(length(known), 1L), dimnames = list(NULL, NULL))
  labels <- labels[match(rows, known), , drop = FALSE]
  if (ncol(labels) == 1L) factor(labels, levels) else labels
}
