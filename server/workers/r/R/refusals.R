# What people save beside or instead of a model, and what to save instead. Each reason says what the file holds and the
# cure, in lines that can be copied.

resampled <- "the results of resampling, not a model: train the learner on all data, learner$train(task), and save that"

# For each class of an object that cannot be served as it is: function(object) that says why and what to do.
not_models <- list(
  kmeans = function(object) {
    paste("a kmeans, which has no predict(): save a function that finds the nearest centre,", as_function(paste(
      "apply(as.matrix(df[colnames(fit$centers)]), 1, function(row) which.min(colSums((t(fit$centers) - row)^2)))"
    )))
  },
  survfit = function(object) {
    paste(
      "survival curves, not a model: fit and save a coxph; it has the output `survival` with the option `times`, the",
      "probability of living longer than each time"
    )
  },
  tune = function(object) "the results of tuning, not a model: save the best one, saveRDS(fit$best.model, file)",
  tune_results = function(object) {
    "the results of tuning, not a model: finalize_workflow() with the best of them, fit() it to the data and save that"
  },
  forecast = function(object) {
    within <- class(object$model)[1L]
    fitted <- is.object(object$model) && within != "forecast"
    if (fitted) return(sprintf("a forecast, not a model: save its model (%s), saveRDS(fit$model, file)", within))
    paste(
      "a forecast, not a model, and its method keeps none that could go on: save a model, such as ets() or Arima()",
      "of package forecast return"
    )
  },
  gamm = function(object) "a gamm, which is two models in a list: save its gam, saveRDS(fit$gam, file)",
  R6 = function(object) {
    paste("an R6 object: save a function that calls its predict method,", as_function("fit$predict(df)"))
  },
  recipe = function(object) {
    paste(
      "a recipe, which has bake(), not predict(): save the workflow that it is part of, or a function,",
      as_function("recipes::bake(fit, df)")
    )
  },
  model_spec = function(object) {
    "a specification of parsnip that is not fitted; save what fit(spec, formula, data) returned"
  },
  last_fit = function(object) "the results of last_fit(), not a model: save its workflow, extract_workflow(fit)",
  Task = function(object) "a task, which is data, and not a model: save what was trained on it",
  Prediction = function(object) "predictions, not a model: save the learner or what train() returned",
  ResampleResult = function(object) resampled,
  BenchmarkResult = function(object) resampled,
  resamples = function(object) "the results of resampling, not a model: save what caret::train() returned",
  xgb.cv.synchronous = function(object) {
    "the results of xgb.cv(), not a model: save what xgb.train() returns for the number of rounds that did best"
  },
  xgb.DMatrix = function(object) "a matrix of xgboost, which is data, and not a model: save what xgb.train() returned",
  htest = function(object) "the result of a test, not a model: save what the fitting function returned",
  anova = function(object) "a table of tests, not a model: save the fitted model that it is of",
  TukeyHSD = function(object) "a table of comparisons, not a model: save the fitted model that it is of",
  gg = function(object) "a plot, not a model: save what the fitting function returned",
  hclust = function(object) "a tree of clusters, which cannot be asked about new rows",
  density = function(object) paste("a density: save a function,", as_function("approx(fit$x, fit$y, df$x)$y")),
  stl = function(object) "a series taken apart, not a model: save what forecast::stlm() returns",
  decomposed.ts = function(object) "a series taken apart, not a model: save what forecast::stlm() or ets() returns"
)

# Classes for which a package may have a predict method all the same.
asked_elsewhere <- c("kmeans", "R6", "hclust", "density", "tune_results")

refuse_not_model <- function(object) {
  known <- intersect(class(object), names(not_models))
  if (length(known) > 0L && known[1L] %in% asked_elsewhere && !is.null(package_of(object))) return(invisible())
  if (length(known) > 0L) {
    stop(tandem_condition("not_a_model", paste("the file holds", not_models[[known[1L]]](object))))
  }
  of <- sub("^summary[.]", "", class(object)[1L])
  if (of == class(object)[1L]) return(invisible())
  stop(tandem_condition("not_a_model", sprintf(
    "the file holds the summary of a model of class %s; save the model itself: saveRDS(model, file)", of
  )))
}

# The refusal of several models in a plain list.
refuse_list <- function(object) {
  if (!is.list(object) || is.object(object)) return(invisible())
  classes <- vapply(object, function(part) if (is.list(part) && is.object(part)) class(part)[1L] else "", "")
  if (length(classes) == 0L || !all(nzchar(classes))) return(invisible())
  names <- if (is.null(names(object))) seq_along(object) else encodeString(names(object), quote = "\"")
  stop(tandem_condition("not_a_model", sprintf(
    paste(
      "the file holds a list of %d models (%s): save one of them, saveRDS(fit[[%s]], file), each under a name of its",
      "own; or a function that picks one by a column `which`, %s, with the columns in the sidecar"
    ),
    length(classes), paste(unique(classes), collapse = ", "), names[1L],
    as_function("mapply(function(k, i) predict(fit[[k]], df[i, , drop = FALSE]), df$which, seq_len(nrow(df)))")
  )))
}

as_function <- function(body) sprintf("saveRDS(local({ fit <- fit; function(df) %s }), file)", body)

# What predict() says when the fault lies with how the model was saved and not with the row: the reason with the cure,
# or NULL.
cure_of_failure <- function(model, message) {
  message <- message[[1L]]
  name <- missing_name("could not find function \"%s\"", message)
  if (!is.null(name)) return(paste0("predict() could not find `", name, "`: ", cure_of_function(name)))
  name <- missing_name("object '%s' not found", message)
  if (!is.null(name)) return(cure_of_variable(model, name))
  if (grepl("saveRDS(", message, fixed = TRUE)) message
}

# The name in one of R's messages, which come in the language of the process.
missing_name <- function(said, message) {
  parts <- strsplit(gettext(said, domain = "R"), "%s", fixed = TRUE)[[1L]]
  at <- regexpr(parts[1L], message, fixed = TRUE)
  if (at < 0L) return(NULL)
  rest <- substring(message, at + nchar(parts[1L]))
  end <- regexpr(parts[2L], rest, fixed = TRUE)
  if (end > 1L) substring(rest, 1L, end - 1L)
}

cure_of_variable <- function(model, name) {
  what <- if (is.function(model)) "the function" else "the model"
  kept <- if (is.function(model)) {
    sprintf("local({ %s <- %s; function(df) ... })", name, name)
  } else {
    sprintf("fit it inside local({ %s <- %s; ... }) or a function, which the formula then keeps", name, name)
  }
  sprintf(
    "%s uses `%s`, which stayed in your workspace, unless it is a column that the schema lacks: %s, or a score.R",
    what, name, kept
  )
}

# The cure for a function that is not found: it is of an installed package, or the analyst's own.
cure_of_function <- function(name) {
  packages <- packages_exporting(name)
  if (length(packages) > 0L) {
    return(sprintf(
      "it is of package %s; name it in the sidecar: packages: [%s]", paste(packages, collapse = " or "), packages[1L]
    ))
  }
  sprintf(paste(
    "no installed package has it. If it is a function of your own, it stayed in your workspace: fit the model, or",
    "write the function, inside local({ %s <- %s; ... }), which then keeps it. If it is of a package, install that and",
    "name it in the sidecar: packages: [...]"
  ), name, name)
}

# At most three, those that people attach most often first, read from the index of each package without loading it.
packages_exporting <- function(name) {
  files <- file.path(list.dirs(.libPaths(), recursive = FALSE), "Meta", "nsInfo.rds")
  exports <- function(file) {
    space <- tryCatch(readRDS(file), error = function(e) NULL)
    patterns <- any(vapply(as.character(space$exportPatterns), grepl, NA, x = name))
    name %in% space$exports || (patterns && in_help(dirname(dirname(file)), name))
  }
  found <- basename(dirname(dirname(Filter(exports, files[file.exists(files)]))))
  often <- intersect(c("dplyr", "magrittr", "stringr", "lubridate"), found)
  utils::head(c(often, setdiff(found, often)), 3L)
}

# A package that exports by a pattern has what its help speaks of.
in_help <- function(package, name) {
  aliases <- file.path(package, "help", "aliases.rds")
  file.exists(aliases) && name %in% names(readRDS(aliases))
}
