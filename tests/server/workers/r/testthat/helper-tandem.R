# The R files in one environment, as the server loads them, and what the tests share.

root <- normalizePath(file.path(testthat::test_path(), "..", "..", "..", "..", ".."))
tandem <- new.env(parent = globalenv())
for (file in list.files(file.path(root, "server", "workers", "r", "R"), "[.]R$", full.names = TRUE)) {
  sys.source(file, envir = tandem)
}

as_file <- function(model, ...) {
  path <- tempfile(fileext = ".rds")
  saveRDS(model, path, ...)
  path
}

# A model as the server sees it: written, read again, described.
opened <- function(model, ...) {
  model <- tandem$open_model(as_file(model), ...)
  list(model = model, description = tandem$describe_model(model))
}

scorer_of <- function(served, arguments = list()) {
  tandem$make_scorer(served$model, served$description$inputs, arguments)
}

# Rows of a data frame as the other side sends them: plain vectors, factors as codes.
as_columns <- function(frame, inputs) {
  lapply(inputs, function(input) {
    column <- frame[[input$name]]
    switch(input$type,
      factor = ,
      ordered = match(as.character(column), input$levels),
      numeric = ,
      date = ,
      datetime = as.double(column),
      column
    )
  })
}

# The scorer's answer for rows together and for each alone, which must be what predict() says, to the last bit.
expect_scored <- function(served, frame, output, expected, arguments = list()) {
  scorer <- scorer_of(served, arguments)
  columns <- as_columns(frame, served$description$inputs)
  reply <- scorer(columns, output)
  expect_null(reply[[5]])
  expect_identical(restored(reply), expected)
  for (k in seq_len(nrow(frame))) {
    one <- scorer(lapply(columns, `[`, k), output)
    expect_null(one[[5]])
    expect_identical(restored(one), if (is.matrix(expected)) expected[k, , drop = FALSE] else expected[k])
  }
}

restored <- function(reply) {
  value <- reply[[1]]
  if (!is.null(reply[[2]])) return(matrix(unlist(value), ncol = length(value), dimnames = list(NULL, reply[[2]])))
  if (!is.null(reply[[3]])) reply[[3]][value] else value
}

bare <- function(prediction) {
  if (is.matrix(prediction) && ncol(prediction) > 1) {
    return(matrix(as.vector(prediction), nrow(prediction), dimnames = list(NULL, colnames(prediction))))
  }
  if (is.factor(prediction)) as.character(prediction) else as.vector(prediction)
}

input_names <- function(served) vapply(served$description$inputs, `[[`, "", "name")
input_types <- function(served) vapply(served$description$inputs, `[[`, "", "type")
takes_missing <- function(served) vapply(served$description$inputs, `[[`, NA, "na")

proof_of <- function(served) tandem$prove_rowwise(scorer_of(served), served$description)

expect_refused <- function(code, pattern, expression) {
  error <- expect_error(expression, pattern, class = "tandem_error")
  expect_identical(error$code, code)
  expect_no_match(conditionMessage(error), tempdir(), fixed = TRUE)
}

with_missing <- function(frame, names) {
  for (k in seq_along(names)) frame[k, names[k]] <- NA
  frame
}

# What a model of a series answers for `h` steps, to the last bit.
expect_steps <- function(served, h, response, interval = NULL, level = 80) {
  expect_true(served$description$horizon)
  expect_identical(served$description$inputs, list())
  scorer <- scorer_of(served)
  expect_identical(scorer(list(), "response", options = list(h = h))[[1]], as.vector(response))
  expect_identical(names(served$description$outputs), c("response", if (!is.null(interval)) "interval"))
  if (is.null(interval)) return(invisible())
  reply <- scorer(list(), "interval", options = list(h = h, level = level))
  expect_identical(reply[[2]], c("fit", "lower", "upper"))
  expect_identical(reply[[1]], unname(lapply(interval, as.vector)))
}

expect_forecast <- function(served, h, level = 80) {
  response <- forecast::forecast(served$model, h = h)$mean
  steps <- forecast::forecast(served$model, h = h, level = level)
  expect_steps(served, h, response, steps[c("mean", "lower", "upper")], level)
}
