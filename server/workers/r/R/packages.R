# Which package answers predict() for a model, and loading it. Namespaces are loaded, never attached, so that models
# of different packages live side by side.

# This is made on first need, and made again when a package was installed, which changes the time of the library folder.
cache <- new.env(parent = emptyenv())

# Classes that inherit from lm or glm but must not be answered by their methods when their package is missing.
heirs <- c(
  gam = "mgcv", bam = "mgcv", Gam = "gam", negbin = "MASS", rlm = "MASS", svyglm = "survey", lmrob = "robustbase",
  glmrob = "robustbase", zeroinfl = "pscl", hurdle = "pscl", biglm = "biglm", gls = "nlme"
)

# Loads the namespace that the model needs and returns its name; signals package_missing or not_a_model.
load_model_package <- function(model) {
  maker <- package_in_call(model)
  if (!is.null(maker)) load_package(maker)
  package <- package_of(model)
  if (!is.null(package)) {
    load_package(package)
    return(package)
  }
  if (!is.null(maker)) return(maker)
  name <- class(model)[1L]
  stop(tandem_condition("package_missing", paste0(
    "no installed package has a predict method for an object of class '", name, "'. If a package has one, install it ",
    "and name it in the sidecar, packages: [...]; if none has, save a function that predicts, ",
    as_function("...")
  )))
}

package_of <- function(model) {
  package <- attr(class(model), "package")
  if (!is.null(package) && package != ".GlobalEnv") return(package)
  for (name in class(model)) {
    package <- package_of_class(model, name)
    if (!is.null(package)) return(package)
  }
  NULL
}

package_of_class <- function(model, name) {
  stated <- get0(paste0("model_package.", name), mode = "function")
  if (!is.null(stated)) return(stated(model))
  method <- utils::getS3method("predict", name, optional = TRUE, envir = globalenv())
  home <- if (!is.null(method)) topenv(environment(method))
  if (isNamespace(home)) return(environmentName(home))
  found <- predict_index()[[name]]
  usual <- if (name %in% names(heirs)) heirs[[name]]
  # The usual package is named where none that is installed has the method.
  if (is.null(found) || any(usual %in% found)) usual else found[1L]
}

# Class -> packages with a predict method for it, read from the namespace files of what is installed: loading them
# all to ask would take minutes.
predict_index <- function() {
  stamp <- file.mtime(.libPaths())
  if (!identical(cache$stamp, stamp)) {
    files <- file.path(list.dirs(.libPaths(), recursive = FALSE), "Meta", "nsInfo.rds")
    files <- files[file.exists(files)]
    pairs <- lapply(files, function(file) {
      methods <- tryCatch(readRDS(file)$S3methods, error = function(e) NULL)
      classes <- if (is.matrix(methods)) methods[methods[, 1L] == "predict", 2L]
      cbind(class = classes, package = rep(basename(dirname(dirname(file))), length(classes)))
    })
    pairs <- do.call(rbind, pairs)
    cache$index <- split(unname(pairs[, "package"]), pairs[, "class"])
    cache$stamp <- stamp
  }
  cache$index
}

# mgcv::gam(...) in the model's call names the package.
package_in_call <- function(model) {
  # Not by [[ ]], of which a class may have made something else, as party has.
  call <- if (is.list(model)) .subset2(model, "call")
  fun <- if (is.call(call)) call[[1L]]
  if (is.call(fun) && as.character(fun[[1L]]) %in% c("::", ":::")) as.character(fun[[2L]])
}

load_package <- function(package) {
  if (isNamespaceLoaded(package)) return(invisible())
  if (length(find.package(package, quiet = TRUE)) == 0L) stop(missing_package(package))
  tryCatch(
    suppressPackageStartupMessages(suppressWarnings(loadNamespace(package))),
    error = function(e) stop(unloadable(package, conditionMessage(e)))
  )
  invisible()
}

# Gives the value of `answer`. Meanwhile `name`, which the package exports, stands in the global environment: there the
# package looks for it, as if it were attached, which it is not here.
lent <- function(name, package, answer) {
  if (exists(name, envir = globalenv())) return(answer)
  assign(name, getExportedValue(package, name), envir = globalenv())
  on.exit(rm(list = name, envir = globalenv()))
  force(answer)
}

unloadable <- function(package, cause) {
  cure <- if (starts_program(cause)) paste(
    "; it, or a package that it needs, starts a program while it is loaded, and the sandbox forbids programs:",
    "serve the model from a server of its own with TANDEM_SANDBOX=off"
  )
  tandem_condition("package_missing", paste0(package, " is installed but cannot be loaded: ", cause, cure))
}

# The error of R's system(), in the language of the process.
starts_program <- function(message) {
  said <- strsplit(gettext("cannot popen '%s', probable reason '%s'", domain = "R"), "%s", fixed = TRUE)[[1L]][1L]
  grepl(said, message, fixed = TRUE)
}

# Debian's RcppParallel, and with it everything that needs rstan, asks a program for a path while it is loaded. That is
# done before the sandbox forbids programs.
starters <- "RcppParallel"

load_starters <- function() {
  for (package in starters) {
    if (length(find.package(package, quiet = TRUE)) > 0L) try(load_package(package), silent = TRUE)
  }
  invisible()
}

missing_package <- function(package) {
  ways <- c(
    if (!package %in% not_in_debian) paste0("apt-get install r-cran-", tolower(package)),
    from_cran(package)
  )
  more <- if (package == "xgboost") paste0(
    "; or save the model with xgboost::xgb.save(model, \"NAME.ubj\") among the Python models, which needs Python's ",
    "xgboost there and not R's"
  )
  tandem_condition("package_missing", paste0(
    package, " is not installed: install it with ", paste(ways, collapse = " or "), more
  ))
}

# R 4.2, which Debian 12 has, is too old for the newest xgboost.
from_cran <- function(package) {
  if (package != "xgboost" || getRversion() >= "4.3") return(sprintf("install.packages(\"%s\")", package))
  paste0(
    "install.packages(\"https://cran.r-project.org/src/contrib/Archive/xgboost/xgboost_1.7.11.1.tar.gz\", ",
    "repos = NULL), the last for an R before 4.3 (it needs data.table and jsonlite)"
  )
}

# Packages that people save models of and that Debian does not have.
not_in_debian <- c(
  "xgboost", "lightgbm", "catboost", "bundle", "butcher", "parsnip", "workflows", "stacks",
  "mlr3", "mlr3learners", "mlr3pipelines", "h2o"
)
