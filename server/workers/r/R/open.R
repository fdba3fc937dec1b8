# From an .rds file to a model whose predict() can be called.

open_model <- function(path, packages = character()) {
  for (package in packages) load_package(package)
  model <- read_model(path)
  refuse_data(model)
  package <- load_model_package(model)
  supply_functions(model, c(packages, package))
}

read_model <- function(path) {
  size <- file.size(path)
  if (is.na(size)) stop(tandem_condition("unreadable", "the file is gone or cannot be opened"))
  if (size == 0) stop(tandem_condition("unreadable", "the file is empty; write it again with saveRDS(model, file)"))
  withCallingHandlers(
    tryCatch(readRDS(path), error = function(e) stop(unreadable(path, e))),
    # A namespace that a function in the model needs is replaced by the global environment with no more than a
    # warning; the model would then fail, or worse, answer with another function of the same name.
    warning = function(w) {
      package <- missing_namespace(conditionMessage(w))
      if (!is.null(package)) stop(missing_package(package))
      invokeRestart("muffleWarning")
    }
  )
}

unreadable <- function(path, error) {
  if (inherits(error, "tandem_error")) return(error)
  if (looks_like_save(path)) {
    return(tandem_condition("unreadable", paste(
      "the file was written by save(), which stores variables, not one model;",
      "write it with saveRDS(model, file)"
    )))
  }
  cause <- gsub(path, "the file", conditionMessage(error), fixed = TRUE)
  tandem_condition("unreadable", paste0(
    "the file is truncated or no .rds file (", cause, "); write it again with saveRDS(model, file)"
  ))
}

looks_like_save <- function(path) {
  connection <- gzfile(path, "rb")
  on.exit(close(connection))
  magic <- tryCatch(suppressWarnings(readBin(connection, "raw", 4L)), error = function(e) raw())
  length(magic) == 4L && rawToChar(magic[1:3]) %in% c("RDX", "RDA")
}

missing_namespace <- function(message) {
  name <- regmatches(message, regexec("namespace \\W*([[:alnum:].]+)\\W* is not available", message))[[1L]][2L]
  if (is.na(name)) NULL else name
}

refuse_data <- function(model) {
  what <- if (is.null(model)) {
    "NULL"
  } else if (is.data.frame(model)) {
    paste("a data frame of", nrow(model), "rows")
  } else if (is.function(model)) {
    "a function"
  } else if (is.atomic(model)) {
    paste("an object of class", class(model)[1L])
  } else if (!is.object(model)) {
    paste("a plain", class(model)[1L])
  }
  if (is.null(what)) return(invisible())
  stop(tandem_condition("not_a_model", paste0(
    "the file holds ", what, ", not a fitted model; save what lm(), randomForest() or another fitting function ",
    "returned: saveRDS(model, file)"
  )))
}

# A formula may call a function of a package that the analyst had attached, ns() of splines for one. Attaching it
# here would let one model's package hide another's functions, so the formula gets an environment of its own with
# just the functions that it lacks.
supply_functions <- function(model, packages) {
  terms <- if (is.list(model)) model[["terms"]]
  if (!inherits(terms, "terms")) return(model)
  called <- c(called_functions(attr(terms, "variables")), called_functions(attr(terms, "predvars")))
  home <- environment(terms)
  if (is.null(home)) home <- globalenv()
  lacking <- Filter(function(name) !exists(name, envir = home, mode = "function"), unique(called))
  if (length(lacking) == 0L) return(model)
  supplied <- new.env(parent = home)
  for (name in lacking) assign(name, find_function(name, c(packages, "splines")), envir = supplied)
  attr(model$terms, ".Environment") <- supplied
  model
}

# Names of the functions that an expression calls without saying their package.
called_functions <- function(expression) {
  if (!is.call(expression)) return(NULL)
  fun <- expression[[1L]]
  name <- if (is.symbol(fun)) as.character(fun)
  if (!is.null(name) && name %in% c("::", ":::")) return(NULL)
  c(name, unlist(lapply(as.list(expression), called_functions)))
}

find_function <- function(name, packages) {
  for (package in unique(packages)) {
    load_package(package)
    if (name %in% getNamespaceExports(package)) return(getExportedValue(package, name))
  }
  stop(tandem_condition("package_missing", paste0(
    "the model's formula uses ", name, "(), which no package known to be needed has; name its package in the ",
    "sidecar: packages: [...]"
  )))
}
