# xgboost's boosters, of the package before and after its version 2, and what xgb.serialize() and xgb.save.raw() return.
# A saved file holds no more than the booster's bytes. A row is a line of the matrix, and a missing value goes its own
# way in the trees.

model_package.xgb.Booster <- function(model) "xgboost"

# Before version 2 a booster is a list: its pointer does not survive the file, and is made again from `raw`, once.
make_ready.xgb.Booster <- function(model, packages) {
  before_2 <- is.list(model) && "handle" %in% names(model)
  if (before_2 && is.null(model$raw)) {
    stop(tandem_condition("unreadable", paste(
      "the file holds an xgb.Booster without its trees: it was saved without $raw, and its pointer does not survive a",
      "file; save it with xgboost::xgb.save(model, \"NAME.ubj\") among the Python models, or take",
      "model <- xgboost::xgb.Booster.complete(model) before saveRDS(model, file)"
    )))
  }
  for (package in c("xgboost", packages)) load_package(package)
  if (before_2) xgb_call("xgb.Booster.complete", model) else model
}

xgb_call <- function(name, ...) getExportedValue("xgboost", name)(...)

# Bytes of a booster begin as UBJSON, JSON or the binary form of old do.
make_ready.raw <- function(model, packages) {
  begins <- rawToChar(utils::head(model, 4L)[utils::head(model, 4L) != 0L])
  if (!grepl("^(\\{L|\\{\"|binf|CONF)", begins)) return(make_ready.default(model, packages))
  for (package in c("xgboost", packages)) load_package(package)
  booster <- tryCatch(booster_of_bytes(model), error = function(e) NULL)
  if (is.null(booster)) {
    stop(tandem_condition("unreadable", paste0(
      "the file holds bytes that xgboost ", utils::packageVersion("xgboost"), " cannot read as a booster; save the ",
      "model itself, saveRDS(model, file), or with xgboost::xgb.save(model, \"NAME.ubj\") among the Python models"
    )))
  }
  booster
}

# xgb.serialize() writes the settings along, which xgb.load.raw() does not read.
booster_of_bytes <- function(bytes) {
  tryCatch(xgb_call("xgb.load.raw", bytes, as_booster = TRUE), error = function(e) {
    handle <- xgb_call("xgb.unserialize", bytes)
    if (inherits(handle, "xgb.Booster")) return(handle)
    xgb_call("xgb.Booster.complete", structure(list(handle = handle, raw = bytes), class = "xgb.Booster"))
  })
}

describe_inputs.xgb.Booster <- function(model) {
  names <- xgb_feature_names(model)
  if (is.null(names)) {
    stop(tandem_condition("no_schema", sprintf(paste(
      "the booster does not know the names of its %s columns: fit it to a matrix with column names, or state the",
      "inputs in the sidecar in the order of the matrix, all of them numeric"
    ), xgb_settings(model)$learner_model_param$num_feature)))
  }
  if (any(xgb_feature_types(model) %in% c("c", "categorical"))) {
    stop(tandem_condition("no_schema", paste(
      "the booster was fitted to factors and does not keep their levels; state them in the sidecar, as",
      "{name: ..., type: factor, levels: [...]}, in the order that they had"
    )))
  }
  inputs_from_names(names)
}

# A booster of version 2 or later keeps the names and types itself.
xgb_feature_names <- function(model) {
  if (is.list(model) && "handle" %in% names(model)) return(model[["feature_names"]])
  tryCatch(xgb_call("getinfo", model, "feature_name"), error = function(e) NULL)
}

xgb_feature_types <- function(model) {
  if (is.list(model) && "handle" %in% names(model)) return(NULL)
  tryCatch(xgb_call("getinfo", model, "feature_type"), error = function(e) NULL)
}

xgb_settings <- function(model) jsonlite::fromJSON(xgb_call("xgb.config", model))$learner

# Objectives whose response is the sum of the trees itself have no link.
output_names.xgb.Booster <- function(model) {
  plain <- "^(reg:(squared(log)?error|linear|absoluteerror|pseudohubererror|quantileerror)|rank:|binary:hinge)"
  c("response", if (!grepl(plain, xgb_settings(model)$objective$name)) "link")
}

# Labels are numbers from 0. Of version 2 or later, a matrix of several classes comes by itself.
predict_rows.xgb.Booster <- function(model, newdata, output, arguments) {
  reshape <- if ("reshape" %in% names(formals(predict_method("xgb.Booster")))) list(reshape = TRUE)
  rows <- xgb_rows(model, newdata)
  own <- c(reshape, if (output == "link") list(outputmargin = TRUE))
  answer <- do.call(predict, c(list(quote(model), quote(rows)), own[setdiff(names(own), names(arguments))], arguments))
  if (is.matrix(answer) && is.null(colnames(answer))) colnames(answer) <- seq_len(ncol(answer)) - 1L
  answer
}

# Columns go in the order of the booster's. Factors, which only version 2 and later take, stay in a data frame.
xgb_rows <- function(model, newdata) {
  names <- xgb_feature_names(model)
  if (!is.null(names) && all(names %in% names(newdata))) newdata <- newdata[names]
  if (any(vapply(newdata, is.factor, NA))) return(newdata)
  rows <- as.matrix(newdata)
  storage.mode(rows) <- "double"
  rows
}
