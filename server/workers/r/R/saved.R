# Files of save() and save.image() hold variables, by name. One with a single model among them means that model.

looks_like_save <- function(path) {
  connection <- gzfile(path, "rb")
  on.exit(close(connection))
  magic <- tryCatch(suppressWarnings(readBin(connection, "raw", 4L)), error = function(e) raw())
  length(magic) == 4L && !any(magic == 0L) && rawToChar(magic[1:3]) %in% c("RDX", "RDA")
}

read_saved <- function(path) {
  saved <- new.env(parent = emptyenv())
  load(path, envir = saved)
  variables <- mget(ls(saved), envir = saved)  # in order, and without those that R hides
  models <- Filter(may_be_model, variables)
  if (length(models) > 1L) models <- Filter(can_predict, models)
  if (length(models) != 1L) stop(not_one_model(variables, names(models)))
  models[[1L]]
}

may_be_model <- function(value) {
  is.object(value) && !is.atomic(value) && !is.data.frame(value) && !is.function(value) && !is.language(value)
}

# This is asked without loading packages: none that belongs to the other variables is wanted here.
can_predict <- function(model) {
  tryCatch(!is.null(package_of(model)), error = function(e) TRUE)
}

not_one_model <- function(variables, models) {
  first <- c(models, "model")[1L]
  what <- "and no model"
  if (length(models) > 0L) what <- paste0("of which ", paste(models, collapse = ", "), " are models")
  tandem_condition("not_a_model", paste0(
    "the file was written by save(), which stores variables; it holds ", with_classes(variables), ", ", what,
    "; save the one to serve by itself: saveRDS(", first, ", \"", first, ".rds\")"
  ))
}

with_classes <- function(variables) {
  told <- sprintf("%s (%s)", names(variables), vapply(variables, function(value) class(value)[1L], ""))
  if (length(told) == 0L) return("none")
  if (length(told) > 10L) told <- c(told[1:10], paste(length(told) - 10L, "more"))
  paste(told, collapse = ", ")
}
