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
    numeric = c(1, 0, 2, 0.5, 10, 3, 25, 100),
    integer = c(1L, 0L, 2L, 10L, 3L, 25L, 100L),
    logical = c(TRUE, FALSE),
    string = if (length(input$levels) > 0L) input$levels else c("a", "b", "c"),
    seq_along(input$levels)
  )
}

# Between a caller's value and what a column holds: labels outside, 1-based codes inside.
as_label <- function(input, value) {
  if (input$type %in% c("factor", "ordered")) input$levels[value] else value
}

as_code <- function(input, value, pool) {
  if (is.null(value)) return(pool[1L])
  switch(input$type,
    numeric = as.double(value),
    integer = as.integer(value),
    logical = as.logical(value),
    string = as.character(value),
    match(value, input$levels)
  )
}
