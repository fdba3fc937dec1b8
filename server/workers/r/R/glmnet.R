# glmnet::glmnet, all families, also relaxed. predict() takes a matrix, so the inputs are the columns of the one it
# was fitted to, all numeric. Without `s` there is a column per lambda of the path, as predict() does.

model_package.glmnet <- function(model) "glmnet"

describe_inputs.glmnet <- function(model) {
  names <- rownames(glmnet_beta(model))
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

# The name that predict() has for the argument.
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
  if (isTRUE(fit$offset)) {
    arguments$newoffset <- newdata[[offset_name]]
    newdata[[offset_name]] <- NULL
  }
  newx <- as.matrix(newdata)
  if (output != "class") return(call_predict(model, newx, arguments, type = output))
  found <- if (inherits(fit, "multnet")) {
    class_of_links(call_predict(model, newx, arguments, type = "link"), fit$classnames)
  } else {
    call_predict(model, newx, arguments, type = "class")
  }
  if (ncol(found) == 1L) factor(found, fit$classnames) else found
}

# The class with the highest link, and of equal ones the first, by lambda. That is predict()'s rule; its own class fails
# if of several rows just one has no missing value, and of one row with some gives numbers.
class_of_links <- function(links, levels) {
  found <- apply(links, 3L, function(link) {
    link <- matrix(link, ncol = length(levels))
    best <- rep(1L, nrow(link))
    for (k in seq_along(levels)[-1L]) best[which(link[, k] > link[cbind(seq_along(best), best)])] <- k
    best[rowSums(is.na(link)) > 0] <- NA
    levels[best]
  })
  matrix(found, nrow(links), dimnames = list(NULL, dimnames(links)[[3L]]))
}

# Variables by lambdas; of several responses the first, since all have these names.
glmnet_beta <- function(fit) if (is.list(fit$beta)) fit$beta[[1L]] else fit$beta
