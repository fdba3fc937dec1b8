# Sample rows to prove and try a model with. Which rows is fixed by arithmetic: the process's random numbers are the
# models' and are not touched.

# A list of n-long columns as a scorer takes them; the first row is the model's example.
draw_rows <- function(description, n) {
  inputs <- description$inputs
  pools <- lapply(inputs, pool_of, values = description$values)
  # Pools of one length are columns of one frame: keep its rows together.
  joint <- length(unique(lengths(pools))) <= 1L
  Map(function(input, pool, position) {
    start <- if (joint) 0 else position * 0.7548776662
    turn <- (start + seq_len(n - 1L) * 0.6180339887) %% 1
    drawn <- pool[floor(turn * length(pool)) + 1L]
    c(as_code(input, description$example[[input$name]], pool), drawn)
  }, inputs, pools, seq_along(inputs))
}

pool_of <- function(input, values) {
  pool <- values[[input$name]]
  if (length(pool) > 0L) return(pool)
  switch(input$type,
    numeric = if (length(input$allowed) > 0L) as.double(unlist(input$allowed)) else c(1, 0, 2, 0.5, 10, 3, 25, 100),
    integer = c(1L, 0L, 2L, 10L, 3L, 25L, 100L),
    logical = c(TRUE, FALSE),
    date = 19723 + c(0, 31, 60, 100, 182, 244, 305, 359, 366, 400, 730, -1, -365, -4000),
    datetime = 1704103200 + c(0, 3600, 86399.25, 8e5, 5e6, 1e7, 2e7, 3.2e7 + 0.5, 6e7, -1, -3e8),
    string = if (length(input$levels) > 0L) input$levels else c("a", "b", "c"),
    seq_along(input$levels)
  )
}

# Between a caller's value and what a column holds: labels outside, 1-based codes inside; ISO 8601 outside, days or
# seconds inside.
as_label <- function(input, value) {
  switch(input$type,
    factor = ,
    ordered = input$levels[value],
    date = iso_text(.Date(value)),
    datetime = iso_datetime(value, input_zone(input)),
    string = enc2utf8(value),
    value
  )
}

as_code <- function(input, value, pool) {
  if (is.null(value)) return(pool[1L])
  switch(input$type,
    numeric = as.double(value),
    integer = as.integer(value),
    logical = as.logical(value),
    string = as.character(value),
    date = days_from_iso(value),
    datetime = seconds_from_iso(value, input_zone(input)),
    match(value, input$levels)
  )
}

input_zone <- function(input) if (is.null(input$tz)) "UTC" else input$tz
