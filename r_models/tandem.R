# For analysts: saves a model with all that a server likes to know of it. Plain R without packages; copy this file to
# wherever you work and source() it.
#
# tandem_save() writes <name>.rds and, before it, the sidecar <name>.yaml. That says what the model file cannot: the
# columns with their types and levels as they are in `example`; rows with the answers that predict() gives here, which
# the server checks to the last bit before the model may serve; the versions of R and of the packages. Then it tells
# what it wrote. What the server makes of it is told by `tandem check r_models/<name>.rds`.
#
#   model        what the fitting function returned
#   name         the model's name on the server
#   example      a data frame of real rows as a caller would send them, the rows that the model was fitted to for one.
#                Columns that the model does not use, the response among them, are left out. NULL for a forecast.
#   description  a line for the docs page
#   outputs      the outputs that golden rows are to hold. NULL takes those that this file knows for the model's class;
#                a name or several take some of them; a list says how each is got: arguments of predict(), or a
#                function of (model, rows). list(prob = list(type = "prob")), list(risk = function(model, rows) ...)
#   arguments    further arguments of predict(), which the server is to use too: list(n.trees = 500)
#   packages     packages to load besides the one whose predict() it is; what the formula calls is found without
#   folder       the folder that the server watches, or any other to copy from
#   golden       how many rows of `example`, from the first, become golden rows

tandem_save <- function(model, name, example, description = "", outputs = NULL, arguments = list(), packages = NULL,
                        folder = "r_models", golden = 3) {
  tandem_check_name(name)
  tandem_check_request(example, description, arguments, folder)
  how <- tandem_outputs(model, outputs)
  used <- tandem_inputs(model, example, how, arguments)
  rows <- example[utils::head(seq_len(NROW(example)), golden), used, drop = FALSE]
  packages <- unique(c(packages, tandem_formula_packages(model)))
  needed <- unique(c(tandem_package(model), packages))

  rds <- tandem_part(folder, name, "rds")
  yaml <- tandem_part(folder, name, "yaml")
  on.exit(unlink(c(rds, yaml)))
  saveRDS(model, rds, version = 3)
  checked <- tandem_golden(model, readRDS(rds), rows, how, arguments)
  writeLines(tandem_sidecar(description, packages, needed, arguments, example[used], checked), yaml, useBytes = TRUE)
  # The sidecar first, and each by renaming: a server never sees half a file, nor the model without its sidecar.
  tandem_rename(yaml, folder, name, "yaml")
  path <- tandem_rename(rds, folder, name, "rds")
  tandem_tell(path, model, needed, example, used, how, checked)
  invisible(path)
}

# Asking for what can be had

tandem_refuse <- function(...) stop(..., call. = FALSE)

tandem_check_name <- function(name) {
  fits <- is.character(name) && length(name) == 1L && grepl("^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", name)
  if (!fits) {
    tandem_refuse(
      "'name' must be letters, digits, '.', '_' and '-', at most 100, and no path: 'folder' says where, and .rds is ",
      "added"
    )
  }
}

tandem_check_request <- function(example, description, arguments, folder) {
  if (!is.null(example) && (!is.data.frame(example) || min(dim(example)) == 0L)) {
    tandem_refuse(
      "'example' must be a data frame with at least one row, such as predict()'s newdata; NULL only for a model that ",
      "forecasts and takes no rows"
    )
  }
  if (!is.character(description) || length(description) != 1L) tandem_refuse("'description' must be one string")
  if (!is.list(arguments) || !tandem_named(arguments)) tandem_refuse("'arguments' must be a named list")
  if (!dir.exists(folder)) tandem_refuse("there is no folder '", folder, "' in ", getwd())
}

tandem_named <- function(x) length(x) == 0L || (!is.null(names(x)) && all(nzchar(names(x))))

# The columns of `example` that the model uses: those that its formula names, if they are enough for predict(), or else
# those without which predict() fails or answers something else.
tandem_inputs <- function(model, example, how, arguments) {
  if (is.null(example)) return(character())
  if (length(how) == 0L) how <- list(list())
  rows <- utils::head(example, 3L)
  answer <- function(names) tandem_try(model, rows[names], how, arguments)
  named <- tandem_variables(model)
  lacking <- setdiff(named$alone, names(example))
  if (length(lacking) > 0L) {
    tandem_refuse("'example' lacks ", paste0("'", lacking, "'", collapse = ", "), ", which the model's formula uses")
  }
  whole <- answer(names(example))
  if (is.character(whole)) tandem_refuse("predict() fails on the rows of 'example', and so would the server: ", whole)
  used <- intersect(names(example), named$all)
  if (length(used) > 0L && identical(answer(used), whole)) return(used)
  needed <- vapply(names(example), function(name) !identical(answer(setdiff(names(example), name)), whole), NA)
  used <- names(example)[needed]
  # Two columns may each stand in for the other, where columns are found by their position for one.
  if (length(used) > 0L && identical(answer(used), whole)) used else names(example)
}

# list(all =, alone =): what the formula names, and of that what stands in it by itself, so that it is surely no
# constant such as the degree in poly(x, degree). NULL where there is no formula.
tandem_variables <- function(model) {
  terms <- tryCatch(stats::delete.response(stats::terms(model)), error = function(e) NULL)
  if (is.null(terms)) return(NULL)
  expressions <- as.list(attr(terms, "variables"))[-1L]
  call <- if (is.list(model)) model[["call"]]
  list(
    all = unique(unlist(lapply(c(expressions, if (is.call(call)) call$offset), all.vars))),
    alone = vapply(Filter(is.symbol, expressions), as.character, "")
  )
}

# A list of the answers, or the reason why there are none.
tandem_try <- function(model, rows, how, arguments) {
  tryCatch(suppressWarnings(lapply(how, function(way) {
    answer <- tandem_answered(model, rows, way, arguments)
    if (is.null(answer) || is.atomic(answer)) tandem_check_count(answer, nrow(rows)) # R 4.4: NULL is not atomic
    answer
  })), error = conditionMessage)
}

tandem_check_count <- function(answer, rows) {
  count <- if (is.null(dim(answer))) length(answer) else nrow(answer)
  if (count == rows || (rows == 1L && tandem_is_row(answer))) return(invisible())
  stop(
    count, " answers for ", rows, " rows: columns are not found in 'example', but where the model was fitted; fit it ",
    "with bare column names and data = your data frame"
  )
}

# What predict() says

# predict() as the model's package has it: for S4 classes it is another function than stats::predict.
tandem_predict <- function(model, rows, arguments) {
  if (is.function(model)) return(model(rows))
  package <- attr(class(model), "package")
  generic <- if (isS4(model) && !is.null(package) && "predict" %in% getNamespaceExports(package)) {
    getExportedValue(package, "predict")
  } else {
    stats::predict
  }
  do.call(generic, c(list(quote(model), quote(rows)), arguments))
}

# By a way: a function of (model, rows), or a list of arguments.
tandem_answered <- function(model, rows, way, arguments) {
  if (!is.function(way)) return(tandem_predict(model, rows, c(way, arguments)))
  if ("..." %in% names(formals(way))) do.call(way, c(list(quote(model), quote(rows)), arguments)) else way(model, rows)
}

# The outputs that Tandem has for a class and how they are got in plain R. A test holds them to the server's.
tandem_known_outputs <- function(model) {
  if (is.function(model)) return(list(response = list()))
  # Only the first class counts: what inherits from lm or glm may well have other outputs.
  known <- tandem_ways[[sub("[.](formula|recipe)$", "", class(model)[1L])]]
  if (is.null(known)) list() else known(model)
}

tandem_types <- function(...) lapply(c(...), function(type) list(type = type))

tandem_plain <- function(model) list(response = list())

tandem_either <- function(class) if (class) list(class = list()) else list(response = list())

tandem_on_link <- function(model) tandem_types(response = "response", link = "link")

tandem_discriminant <- function(model) {
  list(
    class = function(model, rows, ...) stats::predict(model, rows, ...)$class,
    prob = function(model, rows, ...) stats::predict(model, rows, ...)$posterior
  )
}

tandem_party <- function(model) {
  if (!is.factor(model$fitted[["(response)"]])) return(tandem_types(response = "response"))
  tandem_types(class = "response", prob = "prob")
}

tandem_ways <- list(
  lm = tandem_plain, aov = tandem_plain, mlm = tandem_plain, maov = tandem_plain, rlm = tandem_plain,
  nls = tandem_plain, loess = tandem_plain, rq = tandem_plain, lmerMod = tandem_plain,
  glm = tandem_on_link, negbin = tandem_on_link, bam = tandem_on_link, earth = tandem_on_link,
  glmerMod = tandem_on_link,
  gam = function(model) tandem_on_link(model)[c(if (model$family$family != "Cox PH") "response", "link")],
  coxph = function(model) tandem_types(risk = "risk", lp = "lp"),
  survreg = function(model) tandem_types(response = "response", lp = "lp"),
  prcomp = function(model) list(scores = list()), princomp = function(model) list(scores = list()),
  lda = tandem_discriminant, qda = tandem_discriminant,
  polr = function(model) tandem_types(class = "class", prob = "probs"),
  multinom = function(model) tandem_types(class = "class", prob = "probs"),
  nnet = function(model) {
    if (is.null(model$lev)) tandem_types(response = "raw") else tandem_types(class = "class", prob = "raw")
  },
  naiveBayes = function(model) tandem_types(class = "class", prob = "raw"),
  svm = function(model) tandem_either(model$type <= 2),
  ksvm = function(model) tandem_either(grepl("svc$", model@type)),
  train = function(model) tandem_either(model$modelType == "Classification"),
  cforest = tandem_party, constparty = tandem_party,
  rpart = function(model) {
    if (model$method == "class") tandem_types(class = "class", prob = "prob") else tandem_types(response = "vector")
  },
  randomForest = function(model) {
    if (model$type == "regression") tandem_plain(model) else tandem_types(class = "response", prob = "prob")
  },
  ranger = function(model) {
    forest <- function(model, rows, ...) {
      stats::predict(model, rows, num.threads = 1L, seed = 1L, verbose = FALSE, ...)$predictions
    }
    switch(model$treetype,
      Regression = list(response = forest),
      Classification = list(class = forest),
      "Probability estimation" = list(prob = forest)
    )
  }
)

tandem_outputs <- function(model, outputs) {
  if (is.list(outputs)) {
    if (!tandem_named(outputs)) tandem_refuse("'outputs' must have names")
    return(outputs)
  }
  known <- tandem_known_outputs(model)
  if (is.null(outputs)) return(known)
  unknown <- setdiff(outputs, names(known))
  if (length(unknown) > 0L) {
    tandem_refuse(
      "tandem.R does not know the output '", unknown[1L], "' of class ", class(model)[1L], "; say how it is got: ",
      "outputs = list(", unknown[1L], " = list(type = \"", unknown[1L], "\"))"
    )
  }
  known[outputs]
}

# For each row list(row =, answers =). The server asks for a golden row alone, so it is predicted alone here. `again` is
# the model as read from its file: what does not survive the writing must not be published. A row that is answered
# differently when asked twice cannot be golden.
tandem_golden <- function(model, again, rows, how, arguments) {
  found <- lapply(if (length(how) > 0L) seq_len(nrow(rows)), function(k) {
    row <- rows[k, , drop = FALSE]
    answers <- function(model) {
      suppressWarnings(lapply(how, function(way) tandem_answered(model, row, way, arguments)))
    }
    reread <- tryCatch(answers(again), error = function(e) {
      tandem_refuse("the model can be predicted here, but not saved and read again: ", conditionMessage(e))
    })
    if (identical(reread, answers(model))) list(row = row, answers = reread)
  })
  changing <- vapply(found, is.null, NA)
  if (any(changing)) {
    warning(sum(changing), " rows are no golden rows: predict() answers them differently each time", call. = FALSE)
  }
  found[!changing]
}

# Packages

# Whose predict() answers.
tandem_package <- function(model) {
  package <- attr(class(model), "package")
  if (!is.null(package) && package != ".GlobalEnv") return(package)
  for (class in class(model)) {
    method <- utils::getS3method("predict", class, optional = TRUE)
    home <- if (!is.null(method)) topenv(environment(method))
    if (isNamespace(home)) return(environmentName(home))
  }
  NULL
}

# Of the functions that the formula calls, ns() for one. Your own are not in any package, so the server lacks them.
tandem_formula_packages <- function(model) {
  terms <- tryCatch(stats::terms(model), error = function(e) NULL)
  called <- setdiff(all.names(attr(terms, "variables")), all.vars(attr(terms, "variables")))
  homes <- lapply(called, function(name) {
    found <- get0(name, envir = globalenv(), mode = "function")
    if (is.null(found) || is.primitive(found)) NULL else topenv(environment(found))
  })
  mine <- called[vapply(homes, identical, NA, globalenv())]
  if (length(mine) > 0L) {
    warning(
      "the formula calls ", mine[1L], "(), a function of yours, which the server does not have; write it out in the ",
      "formula, or save a function of the rows instead of the model",
      call. = FALSE
    )
  }
  names <- vapply(Filter(isNamespace, homes), environmentName, "")
  setdiff(unique(names), c("base", "stats", "utils", "methods", "graphics", "grDevices"))
}

# As the packages write them: 4.7-1.1. Those that come with R have its version.
tandem_versions <- function(packages) {
  versions <- vapply(packages, utils::packageDescription, "", fields = "Version")
  base <- vapply(packages, function(package) {
    identical(utils::packageDescription(package, fields = "Priority"), "base")
  }, NA)
  versions[!base]
}

# Files

tandem_part <- function(folder, name, extension) {
  file.path(folder, paste0(".", name, "-", Sys.getpid(), ".", extension, ".part"))
}

tandem_rename <- function(part, folder, name, extension) {
  path <- file.path(folder, paste0(name, ".", extension))
  if (!file.rename(part, path)) tandem_refuse("cannot write ", path)
  path
}

# YAML

tandem_sidecar <- function(description, packages, needed, arguments, example, golden) {
  versions <- lapply(tandem_versions(needed), tandem_quote)
  made_with <- list(r = tandem_quote(as.character(getRversion())))
  if (length(versions) > 0L) made_with$packages <- tandem_map(versions)
  c(
    paste("# Written by tandem_save() on", format(Sys.Date())),
    if (nzchar(description)) paste("description:", tandem_quote(description)),
    if (length(packages) > 0L) paste("packages:", tandem_array(tandem_quote(packages))),
    paste("made_with:", tandem_map(made_with)),
    if (length(arguments) > 0L) paste("arguments:", tandem_map(lapply(arguments, tandem_flow))),
    if (length(example) > 0L) c("schema:", "  inputs:", paste("    -", mapply(tandem_input, names(example), example))),
    if (length(golden) > 0L) c("golden:", unlist(lapply(golden, tandem_golden_row)))
  )
}

tandem_input <- function(name, column) {
  type <- tandem_type(name, column)
  zone <- attr(column, "tzone")[1L]
  tandem_map(c(
    list(name = tandem_quote(name), type = type),
    if (is.factor(column)) list(levels = tandem_array(tandem_quote(levels(column)))),
    if (type == "datetime" && !is.null(zone) && nzchar(zone)) list(tz = tandem_quote(zone))
  ))
}

tandem_type <- function(name, column) {
  type <- if (is.factor(column)) {
    if (is.ordered(column)) "ordered" else "factor"
  } else if (inherits(column, "Date")) {
    "date"
  } else if (inherits(column, "POSIXct")) {
    "datetime"
  } else if (!is.object(column) && is.null(dim(column))) {
    switch(typeof(column), double = "numeric", integer = "integer", logical = "logical", character = "string")
  }
  if (is.null(type)) {
    tandem_refuse(
      "column '", name, "' of 'example' is of class ", class(column)[1L], ", which a caller cannot send; it must be ",
      "numeric, integer, logical, character, factor, Date or POSIXct"
    )
  }
  type
}

tandem_golden_row <- function(golden) {
  c(
    paste("  - row:", tandem_map(lapply(golden$row, tandem_cell))),
    paste0("    ", tandem_key(names(golden$answers)), ": ", vapply(golden$answers, tandem_answer, ""))
  )
}

# Some methods drop the matrix of one row to a vector.
tandem_is_row <- function(answer) is.null(dim(answer)) && length(answer) > 1L && !is.null(names(answer))

# One value, or an object where there are several.
tandem_answer <- function(answer) {
  if (tandem_is_row(answer)) answer <- as.list(answer)
  if (is.list(answer)) return(tandem_map(lapply(answer, tandem_cell)))
  if (is.matrix(answer) && ncol(answer) > 1L) {
    names <- if (is.null(colnames(answer))) seq_len(ncol(answer)) else colnames(answer)
    return(tandem_map(stats::setNames(lapply(as.vector(answer), tandem_cell), names)))
  }
  if (!is.atomic(answer) || length(answer) != 1L) {
    tandem_refuse(
      "for one row an output gives ", length(answer), " values of class ", class(answer)[1L], "; it must give one, ",
      "or a matrix or data frame of one row"
    )
  }
  tandem_cell(answer[[1L]])
}

tandem_map <- function(values) {
  paste0("{", paste0(tandem_key(names(values)), ": ", unlist(values), collapse = ", "), "}")
}

tandem_array <- function(cells) paste0("[", paste(cells, collapse = ", "), "]")

tandem_flow <- function(value) {
  cells <- vapply(as.list(value), tandem_cell, "")
  if (length(cells) == 1L) cells else tandem_array(cells)
}

tandem_key <- function(names) {
  words <- c("y", "n", "yes", "no", "on", "off", "true", "false", "null")
  plain <- grepl("^[A-Za-z][A-Za-z0-9_.]*$", names) & !tolower(names) %in% words
  ifelse(plain, names, tandem_quote(names))
}

tandem_cell <- function(value) {
  if (inherits(value, "POSIXct")) value <- tandem_instant(value)
  if (is.factor(value) || inherits(value, "Date")) value <- as.character(value)
  if (is.na(value) && !is.nan(value)) return("null")
  switch(typeof(value),
    logical = if (value) "true" else "false",
    integer = sprintf("%d", value),
    double = tandem_number(as.vector(value)),
    tandem_quote(value)
  )
}

tandem_instant <- function(value) {
  micro <- round(as.double(value) * 1e6)
  text <- format(.POSIXct(micro %/% 1e6, tz = "UTC"), "%Y-%m-%dT%H:%M:%S")
  if (is.na(micro)) return(NA_character_)
  paste0(text, if (micro %% 1e6 > 0) sprintf(".%06.0f", micro %% 1e6), "Z")
}

# The shortest digits that give the same double again. YAML wants a point before an exponent.
tandem_number <- function(value) {
  if (!is.finite(value)) return(tandem_quote(as.character(value)))
  for (digits in 15:17) {
    text <- sprintf("%.*g", digits, value)
    if (as.numeric(text) == value) break
  }
  if (value == 0 && 1 / value < 0) text <- "-0.0"
  if (abs(value) >= 2^53 && !grepl("[.e]", text)) text <- paste0(text, ".0")
  sub("^(-?[0-9]+)e", "\\1.0e", text)
}

tandem_quote <- function(text) {
  text <- gsub("([\"\\\\])", "\\\\\\1", enc2utf8(as.character(text)))
  for (code in c(1:31, 127:159)) {
    text <- gsub(intToUtf8(code), sprintf("\\x%02x", code), text, fixed = TRUE)
  }
  paste0("\"", text, "\"")
}

# Telling

tandem_tell <- function(path, model, needed, example, used, how, golden) {
  versions <- tandem_versions(needed)
  say <- function(what, text) cat(sprintf("  %-10s%s\n", what, text), sep = "")
  cat("Saved ", path, " (", format(structure(file.size(path), class = "object_size"), units = "auto"),
      ") and its sidecar\n", sep = "")
  say("class", paste(class(model), collapse = ", "))
  say("made with", paste(c(paste("R", getRversion()), paste(names(versions), versions)), collapse = ", "))
  for (name in used) say("input", tandem_input_text(name, example[[name]]))
  unused <- setdiff(names(example), used)
  if (length(unused) > 0L) say("left out", paste(unused, collapse = ", "))
  if (length(how) > 0L) say("output", paste(names(how), collapse = ", "))
  if (length(golden) > 0L) {
    say("golden", paste(length(golden), "rows; the server must answer them as here, to the last bit"))
    say("", trimws(sub("- ", "", tandem_golden_row(golden[[1L]]), fixed = TRUE)))
  } else if (length(how) == 0L && !is.null(example)) {
    say("golden", paste0("none: the outputs of class ", class(model)[1L], " are not known here; say them by 'outputs'"))
  }
  cat("To see what the server makes of it: tandem check ", path, "\n", sep = "")
}

tandem_input_text <- function(name, column) {
  levels <- if (is.factor(column)) paste0(" (", paste(utils::head(levels(column), 20L), collapse = ", "), ")")
  paste0(name, ": ", tandem_type(name, column), levels)
}
