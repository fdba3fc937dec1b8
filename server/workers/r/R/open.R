# From a file of saveRDS() or save(), or a script, to a model whose predict() can be called.

open_model <- function(path, packages = character()) {
  reading$warnings <- character()
  withCallingHandlers(
    read_and_ready(path, packages),
    warning = function(w) {
      said <- gsub(path, "the file", enc2utf8(conditionMessage(w)), fixed = TRUE)
      if (length(reading$warnings) < 20L) reading$warnings <- unique(c(reading$warnings, said))
      invokeRestart("muffleWarning")
    }
  )
}

# What R warned of while the last model was read, for its details.
reading <- new.env(parent = emptyenv())

read_and_ready <- function(path, packages) {
  use_utf8()
  for (package in packages) load_package(package)
  model <- if (grepl("[.]R$", path)) read_script(path) else as_vetiver(read_model(path))
  make_ready(model, packages)
}

# Loads what predict() will need, or refuses. `packages` are those that the sidecar names.
make_ready <- function(model, packages) UseMethod("make_ready")

make_ready.default <- function(model, packages) {
  refuse_not_model(model)
  refuse_list(model)
  refuse_data(model)
  package <- load_model_package(model)
  supply_functions(model, c(packages, package))
}

read_model <- function(path) {
  size <- file.size(path)
  if (is.na(size)) stop(tandem_condition("unreadable", "the file is gone or cannot be opened"))
  if (size == 0) stop(tandem_condition("unreadable", "the file is empty; write it again with saveRDS(model, file)"))
  withCallingHandlers(
    tryCatch(
      if (looks_like_save(path)) read_saved(path) else readRDS(path),
      error = function(e) stop(unreadable(path, e))
    ),
    # A namespace that a function in the model needs is replaced by the global environment with no more than a
    # warning; the model would then fail, or worse, answer with another function of the same name.
    warning = function(w) {
      package <- missing_namespace(conditionMessage(w))
      if (!is.null(package)) stop(missing_package(package))
      package <- package_of_lost_part(conditionMessage(w))
      if (!is.null(package)) stop(part_lost(package))
    }
  )
}

# R reads an object that only a package can make as nothing, with no more than a warning.
package_of_lost_part <- function(message) {
  said <- regexec("ALTVEC object of class .+ from package \\W*([[:alnum:].]+)", message)
  name <- regmatches(message, said)[[1L]][2L]
  if (is.na(name)) NULL else name
}

part_lost <- function(package) {
  if (length(find.package(package, quiet = TRUE)) == 0L) return(missing_package(package))
  portable <- ""
  if (package == "xgboost") {
    portable <- ", or save the model with xgboost::xgb.save(model, \"NAME.ubj\") among the Python models"
  }
  tandem_condition("package_missing", sprintf(
    "the file was written with another version of %s than the %s that is installed here, which cannot read it: %s%s",
    package, utils::packageVersion(package), sprintf("update it with install.packages(\"%s\")", package), portable
  ))
}

unreadable <- function(path, error) {
  if (inherits(error, "tandem_error")) return(error)
  if (lacks_memory(conditionMessage(error))) {
    return(tandem_condition("unreadable", paste(
      "reading the file takes more memory than a probe may have;",
      "make the model smaller, or have TANDEM_WORKER_MEMORY_MB raised"
    )))
  }
  cause <- gsub(path, "the file", conditionMessage(error), fixed = TRUE)
  tandem_condition("unreadable", paste0(
    "the file is truncated or no .rds file (", cause, "); write it again with saveRDS(model, file)"
  ))
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
  } else if (is.atomic(model)) {
    paste("an object of class", class(model)[1L])
  } else if (!is.object(model)) {
    paste("a plain", class(model)[1L])
  }
  if (is.null(what)) invisible() else stop(not_a_model(what))
}

not_a_model <- function(what) {
  tandem_condition("not_a_model", paste0(
    "the file holds ", what, ", not a fitted model; save what lm(), randomForest() or another fitting function ",
    "returned: saveRDS(model, file)"
  ))
}

# A formula may call a function of a package that the analyst had attached, ns() of splines for one. Attaching it
# here would let one model's package hide another's functions, so the formula gets an environment of its own with
# just the functions that it lacks.
supply_functions <- function(model, packages) {
  terms <- if (is.list(model)) .subset2(model, "terms")
  if (!inherits(terms, "terms")) return(model)
  called <- c(called_functions(attr(terms, "variables")), called_functions(attr(terms, "predvars")))
  home <- environment(terms)
  if (is.null(home)) home <- globalenv()
  lacking <- lacking_functions(called, home)
  if (length(lacking) == 0L) return(model)
  supplied <- new.env(parent = home)
  for (name in lacking) {
    found <- find_function(name, c(packages, "splines"))
    if (is.null(found)) {
      stop(tandem_condition("package_missing", paste0(
        "the model's formula uses `", name, "`: ", cure_of_function(name)
      )))
    }
    assign(name, found, envir = supplied)
  }
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

lacking_functions <- function(called, home) {
  Filter(function(name) !exists(name, envir = home, mode = "function"), unique(called))
}

find_function <- function(name, packages) {
  for (package in unique(packages)) {
    load_package(package)
    if (name %in% getNamespaceExports(package)) return(getExportedValue(package, name))
  }
}
