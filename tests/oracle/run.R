# The oracle: what plain R answers. Nothing of Tandem is loaded here.
#
#   Rscript --vanilla tests/oracle/run.R list FILE...             prints the cases of these files as JSON; fits nothing
#   Rscript --vanilla tests/oracle/run.R FILE FOLDER [NAME...]    fits, saves and answers the cases of a file, or some
#
# A case file is tests/oracle/<class>.R. Each call of case() in it is one model:
#   name     the model's name on the server, unique among all files
#   fit      a function that returns the model
#   rows     a function that returns a data frame of at least 200 rows as a caller would send them; NULL for a model
#            that is asked for a horizon
#   expect   for each output a function of (model, rows): plain predict()'s vector, factor, matrix or data frame
#   options  a named list, sent with every request of this case
#   sidecar  lines of a sidecar, for a model that needs one
#   script   lines of a score.R; beside it in its folder lies what fit() returned, as fit.rds
#
# Name packages inside of these functions (MASS::lda, or library() in fit), so that a package that is not installed
# fails its own cases alone. FOLDER gets <name>.rds and, if there is a sidecar, <name>.yaml, or for a script the folder
# <name>; and <name>.json with the rows and answers: of all rows together, and of some rows each alone, since a caller
# who sends one row is owed what predict() says of one row. The answers are those of the model as read from its file.

single_rows <- 20L

cases <- list()

case <- function(name, fit, rows, expect, options = list(), sidecar = character(), script = character()) {
  cases[[name]] <<- list(
    name = name, fit = fit, rows = rows, expect = expect, options = options, sidecar = sidecar, script = script,
    again = name %in% names(cases)
  )
}

# JSON. Functions named json_* return text: one per element, or one for the whole.

json_string <- function(x) {
  text <- gsub("([\"\\\\])", "\\\\\\1", enc2utf8(as.character(x)))
  for (code in 1:31) text <- gsub(intToUtf8(code), sprintf("\\u%04x", code), text, fixed = TRUE)
  ifelse(is.na(x), "null", paste0("\"", text, "\""))
}

json_array <- function(cells) paste0("[", paste(cells, collapse = ","), "]")

json_object <- function(members) {
  paste0("{", paste0(json_string(names(members)), ":", unlist(members), collapse = ",", recycle0 = TRUE), "}")
}

# As a caller writes them: all 17 digits, and a zero that keeps its sign.
json_number <- function(x) {
  text <- ifelse(x == 0 & 1 / x < 0, "-0.0", sprintf("%.17g", x))
  ifelse(is.finite(x), text, ifelse(is.na(x) & !is.nan(x), "null", json_string(sprintf("%f", x))))
}

# The bits of a double.
json_bits <- function(x) ifelse(is.na(x) & !is.nan(x), "null", json_string(sprintf("%a", x)))

json_instant <- function(x) {
  seconds <- floor(as.numeric(x))
  micro <- round((as.numeric(x) - seconds) * 1e6)
  text <- format(as.POSIXct(seconds, origin = "1970-01-01", tz = "UTC"), "%Y-%m-%dT%H:%M:%S", tz = "UTC")
  json_string(ifelse(is.na(x), NA, paste0(text, ifelse(micro > 0, sprintf(".%06d", as.integer(micro)), ""), "Z")))
}

json_cells <- function(x, json_double) {
  if (inherits(x, "POSIXct")) return(json_instant(x))
  if (is.factor(x) || inherits(x, "Date")) return(json_string(as.character(x)))
  switch(typeof(x),
    logical = ifelse(is.na(x), "null", tolower(as.character(x))),
    integer = ifelse(is.na(x), "null", sprintf("%d", x)),
    double = json_double(as.vector(x)),
    character = json_string(x),
    stop("a column of type ", typeof(x), " cannot be written")
  )
}

json_options <- function(options) {
  json_object(lapply(options, function(value) {
    cells <- json_cells(value, json_number)
    if (length(cells) == 1L) cells else json_array(cells)
  }))
}

# What predict() answered: {"names": null or [...], "kinds": [...], "columns": [[...]]}.

answer_columns <- function(value) {
  if (is.data.frame(value)) return(as.list(value))
  if (is.matrix(value)) {
    names <- colnames(value)
    columns <- lapply(seq_len(ncol(value)), function(j) as.vector(value[, j]))
    return(stats::setNames(columns, if (is.null(names)) seq_len(ncol(value)) else names))
  }
  if (is.null(value) || !is.atomic(value) || length(dim(value)) > 2L) {
    stop("the case answers with a ", class(value)[1L], ", not with a vector, factor, matrix or data frame")
  }
  list(value)
}

kind_of <- function(column) if (is.object(column) && !is.ts(column)) "character" else typeof(column)

json_answer <- function(value, rows = NULL) {
  columns <- answer_columns(value)
  if (!is.null(rows) && any(lengths(columns) != rows)) {
    stop("the case answers with ", lengths(columns)[1L], " predictions for ", rows, " rows")
  }
  json_object(list(
    names = if (is.null(names(columns))) "null" else json_array(json_string(names(columns))),
    kinds = json_array(json_string(vapply(columns, kind_of, ""))),
    columns = json_array(vapply(columns, function(column) json_array(json_cells(column, json_bits)), ""))
  ))
}

# Cases

# Rows that are asked for alone: spread over all, and those in which something is missing among them.
chosen_rows <- function(rows) {
  missing <- utils::head(which(!stats::complete.cases(rows)), single_rows %/% 4L)
  spread <- round(seq(1, nrow(rows), length.out = single_rows - length(missing)))
  sort(unique(c(missing, spread)))
}

# A row that plain predict() cannot take alone is held to the answer that it got among the others.
json_alone <- function(answer, model, rows, chosen) {
  json_array(vapply(chosen, function(k) {
    tryCatch(json_answer(answer(model, rows[k, , drop = FALSE]), 1L), error = function(e) "null")
  }, ""))
}

json_expected <- function(case, model, rows, chosen) {
  json_object(lapply(case$expect, function(answer) {
    if (is.null(rows)) return(json_object(list(all = json_answer(answer(model, rows)))))
    json_object(list(
      all = json_answer(answer(model, rows), nrow(rows)), alone = json_alone(answer, model, rows, chosen)
    ))
  }))
}

# The paths of the model file and of its sidecar. A script gets a folder for all.
paths_of <- function(case, folder) {
  if (length(case$script) == 0L) return(file.path(folder, paste0(case$name, c(".rds", ".yaml"))))
  home <- file.path(folder, case$name)
  dir.create(home)
  writeLines(case$script, file.path(home, "score.R"), useBytes = TRUE)
  file.path(home, c("fit.rds", "model.yaml"))
}

answer_case <- function(case, folder) {
  paths <- paths_of(case, folder)
  set.seed(1)
  saveRDS(case$fit(), paths[1L])
  if (length(case$sidecar) > 0L) writeLines(case$sidecar, paths[2L], useBytes = TRUE)
  model <- readRDS(paths[1L])
  rows <- if (is.function(case$rows)) case$rows()
  chosen <- if (!is.null(rows)) chosen_rows(rows)
  json_object(list(
    classes = json_array(json_string(if (isS4(model)) methods::is(model) else class(model))),
    rows = if (is.null(rows)) "null" else as.character(nrow(rows)),
    sent = json_object(lapply(rows, function(column) json_array(json_cells(column, json_number)))),
    alone = json_array(chosen - 1L),
    options = json_options(case$options),
    expected = json_expected(case, model, rows, chosen)
  ))
}

write_json <- function(text, name, folder) {
  writeLines(text, file.path(folder, paste0(name, ".json")), useBytes = TRUE)
}

run_file <- function(file, folder, wanted) {
  source(file, encoding = "UTF-8")
  if (length(wanted) > 0L) cases <- cases[wanted]
  for (case in cases) {
    text <- tryCatch(answer_case(case, folder), error = function(e) {
      json_object(list(error = json_string(conditionMessage(e))))
    })
    write_json(text, case$name, folder)
  }
}

list_file <- function(file) {
  cases <<- list()
  error <- tryCatch({
    source(file, local = new.env(), encoding = "UTF-8")
    again <- Filter(function(case) case$again, cases)
    if (length(again) > 0L) paste("two cases are named", again[[1L]]$name)
  }, error = conditionMessage)
  if (!is.null(error)) return(json_object(list(error = json_string(error))))
  json_object(list(cases = json_object(lapply(cases, function(case) {
    json_array(json_string(names(case$expect)))
  }))))
}

main <- function(first, ...) {
  rest <- c(...)
  if (first == "list") {
    writeLines(json_object(lapply(stats::setNames(nm = rest), list_file)), useBytes = TRUE)
  } else {
    run_file(first, rest[1L], rest[-1L])
  }
}

do.call(main, as.list(commandArgs(trailingOnly = TRUE)))
