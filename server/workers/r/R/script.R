# score.R: a script that defines run(df) and, to read its files, init(). What columns it needs only a sidecar can say.

# Scripts are written for an R process of their own. Here several live in one, beside other models: each gets an
# environment, and what it attached or left in the global environment is moved behind that.
read_script <- function(path) {
  # Relative paths in a script are meant from its folder.
  caller <- setwd(dirname(path))
  on.exit(if (!is.null(caller)) setwd(caller))
  code <- tryCatch(parse(basename(path), keep.source = FALSE, encoding = "UTF-8"), error = function(e) {
    stop(tandem_condition("unreadable", paste("the script is not R code:", conditionMessage(e))))
  })
  script <- new.env(parent = globalenv())
  attached <- search()
  globals <- as.list(globalenv(), all.names = TRUE)
  on.exit(move_packages(script, attached), add = TRUE)
  on.exit(move_globals(script, globals), add = TRUE)
  tryCatch(
    suppressPackageStartupMessages({
      for (expression in code) eval(expression, script)
      if (is.function(script$init)) script$init()
    }),
    error = function(e) {
      if (inherits(e, "packageNotFoundError")) stop(missing_package(e$package))
      stop(tandem_condition("failed", paste0(
        "the script fails while it is read or in init(): ", conditionMessage(e), "; try it by itself in its folder, ",
        "Rscript --vanilla ", basename(path), ": what it takes from your workspace must lie in that folder"
      )))
    }
  )
  structure(list(home = script), class = "tandem_script")
}

# Called after library(): the same functions are found in the same order, but by this script alone.
move_packages <- function(script, attached) {
  names <- setdiff(search(), attached)
  environments <- lapply(names, as.environment)
  for (name in names) detach(name, character.only = TRUE)
  below <- script
  for (environment in environments) {
    parent.env(below) <- environment
    below <- environment
  }
  parent.env(below) <- globalenv()
}

# Called after source("helpers.R"), or after model <<- readRDS("model.rds") for a model that was not mentioned before.
move_globals <- function(script, before) {
  for (name in setdiff(ls(globalenv(), all.names = TRUE), ".Random.seed")) {
    value <- get(name, envir = globalenv())
    if (name %in% names(before) && identical(value, before[[name]])) next
    if (is.function(value) && identical(environment(value), globalenv())) environment(value) <- script
    if (!exists(name, envir = script, inherits = FALSE)) assign(name, value, envir = script)
    rm(list = name, envir = globalenv())
    if (name %in% names(before)) assign(name, before[[name]], envir = globalenv())
  }
}

make_ready.tandem_script <- function(model, packages) {
  if (is.function(model$home$run)) return(model)
  stop(tandem_condition("not_a_model", "the script defines no function run(df) that returns a prediction for each row"))
}

model_package.tandem_script <- function(model) NULL

describe_inputs.tandem_script <- function(model) NULL

predict_rows.tandem_script <- function(model, newdata, output, arguments) {
  call_with_rows(model$home$run, newdata, arguments)
}
