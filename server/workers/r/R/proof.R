# Whether a model may be batched: only if scoring rows together gives, to the last bit, what each gives alone.

# list(rowwise, rows, reason). `budget_s` is for asking rows alone; several sizes are tried all the same, of a model so
# slow that `patience_s` would pass fewer, or none.
prove_rowwise <- function(scorer, description, budget_s = 0.25, patience_s = 20) {
  if (isTRUE(description$horizon)) return(list(rowwise = FALSE, rows = 0L, reason = "its input is a horizon, not rows"))
  before <- random_state()
  on.exit(restore_random_state(before))
  scorer <- with_compiler(scorer)
  sample <- sample_with_missing(description)
  seconds <- max(0, description$seconds[description$default_output])
  least <- least_rows(seconds, patience_s)
  if (is.null(least)) {
    refuse_one_row_only(scorer, sample, 1L, description$default_output)
    return(list(rowwise = FALSE, rows = 1L, reason = sprintf("a row takes %.1f s: too slow to prove more", seconds)))
  }
  spent <- stopwatch()
  offered <- Filter(function(output) is.null(output$reason), description$outputs)
  known <- score_sample(scorer, sample, offered, function(asked) asked >= least && spent() >= budget_s)
  wide <- spent() < budget_s / 2
  refuse_one_row_only(scorer, sample, known$good, description$default_output)
  reason <- if (length(known$good) < 2L) {
    paste("predict() failed on the sample rows:", known$error)
  } else {
    compare_batches(scorer, sample, known, wide)
  }
  if (length(known$good) >= 2L && !identical(before, random_state())) reason <- "predict() draws random numbers"
  list(rowwise = is.null(reason), rows = length(known$good), reason = reason)
}

# A function written with a single row in mind would be ready and then fail at the first request of several. The same
# row twice, so that nothing but their number can be at fault.
refuse_one_row_only <- function(scorer, sample, good, output) {
  if (length(good) == 0L || is.null(output)) return(invisible())
  error <- answer_error(scorer(lapply(sample$columns, `[`, rep(good[1L], 2L)), output, 2L))
  if (is.null(error)) return(invisible())
  stop(tandem_condition("predict_fails", paste0(
    "the model answers one row but not two: ", error[1L], "; a request may have many rows, so each must get its own ",
    "prediction: write if () as ifelse(), or go over the rows with vapply()"
  )))
}

# Sample rows, and between them rows in which an input, or every input that may be, is missing: row 2 and every
# fourth after it. A slow model sees only the first of them, so they do not stand at the end.
sample_with_missing <- function(description, n = 32L) {
  columns <- draw_rows(description, n)
  open <- which(vapply(description$inputs, function(input) isTRUE(input$na), NA))
  missing <- if (length(open) > 0L) seq(2L, n, by = 4L) else integer()
  for (k in seq_along(missing)) {
    where <- if (k == 2L) open else open[(k - 1L) %% length(open) + 1L]
    for (i in where) columns[[i]][missing[k]] <- NA
  }
  list(columns = columns, rows = n, missing = missing)
}

# What the sample rows are answered, which every batch must then agree with: list(good = the rows for which no output
# fails, error = the first failure, telling =, replies = by output, as joined() makes them).
#
# To ask for one row takes as long as to ask for a hundred. The most telling output is asked for every row alone, while
# there is time. The others go most of the same way: they are asked for 6 rows alone (the example, some more, one with a
# missing value and one of nothing else) and for the rest in one call, or alone as well if that fails.
score_sample <- function(scorer, sample, outputs, enough) {
  telling <- telling_output(outputs)
  scored <- list()
  good <- seq_len(sample$rows)
  error <- NULL
  for (output in c(telling, setdiff(names(outputs), telling))) {
    ask <- function(rows) list(rows = rows, reply = scorer(lapply(sample$columns, `[`, rows), output, length(rows)))
    replies <- if (output == telling) ask_alone(ask, good, enough) else ask_some_alone(ask, good, 6L)
    failed <- vapply(replies, function(one) !is.null(answer_error(one$reply)), NA)
    if (any(failed) && is.null(error)) error <- answer_error(replies[[which(failed)[1L]]]$reply)
    scored[[output]] <- joined(replies[!failed])
    good <- scored[[output]]$rows
  }
  list(good = good, error = error, telling = telling, replies = scored)
}

# The output whose answers tell most: numbers show a difference that a label hides.
telling_output <- function(outputs) {
  numbers <- vapply(outputs, function(output) output$type %in% c("number", "columns"), NA)
  names(outputs)[c(which(numbers), 1L)[1L]]
}

# `enough` says after how many rows it may stop.
ask_alone <- function(ask, rows, enough) {
  replies <- list()
  for (k in seq_along(rows)) {
    if (enough(k - 1L)) break
    replies[[k]] <- ask(rows[k])
  }
  replies
}

ask_some_alone <- function(ask, rows, alone) {
  rest <- rows[-seq_len(alone)]
  together <- if (length(rest) > 0L) list(ask(rest))
  if (length(rest) > 0L && !is.null(answer_error(together[[1L]]$reply))) together <- lapply(rest, ask)
  c(lapply(utils::head(rows, alone), ask), together)
}

# Replies as one: list(rows =, values = a vector, or a list of them for several columns, shape = names and levels, each
# the same in all replies or else a list).
joined <- function(replies) {
  values <- lapply(replies, function(one) answer_value(one$reply))
  columns <- if (length(values) > 0L && is.list(values[[1L]])) seq_along(values[[1L]])
  list(
    rows = unlist(lapply(replies, `[[`, "rows")),
    values = if (is.null(columns)) unlist(values) else lapply(columns, function(j) unlist(lapply(values, `[[`, j))),
    shape = unique(lapply(replies, function(one) one$reply[2:3]))
  )
}

# The first difference between a batch and what its rows were answered before, or NULL.
compare_batches <- function(scorer, sample, known, wide) {
  for (output in names(known$replies)) {
    for (index in batches(known$good, sample$missing, wide, all = output == known$telling)) {
      together <- scorer(lapply(sample$columns, `[`, index), output, length(index))
      reason <- difference(together, known$replies[[output]], index, output)
      if (!is.null(reason)) return(reason)
    }
  }
}

# Which rows to score together, each size once: with and without missing values, in more than one order. The wide ones
# are there for BLAS and compiled code that change their way with the size, without missing values too, since R does not
# ask BLAS where there are some.
batches <- function(good, missing, wide, all) {
  whole <- setdiff(good, missing)
  repeated <- function(rows, size) if (wide) list(rep(rows, ceiling(size / max(1L, length(rows)))))
  chosen <- c(list(utils::head(good, 3L)), repeated(whole, 1024L))
  if (all) {
    chosen <- c(chosen, list(rev(good), whole, utils::head(whole, 2L), utils::head(whole, 8L)), repeated(good, 64L))
  }
  Filter(function(index) length(index) > 1L, unique(chosen))
}

difference <- function(together, known, index, output) {
  rows <- length(index)
  if (!is.null(answer_error(together))) {
    return(sprintf("%d rows together fail though each alone does not: %s", rows, answer_error(together)))
  }
  if (!identical(known$shape, list(together[2:3]))) {
    return(sprintf("output %s has other columns or levels for %d rows together than for one", output, rows))
  }
  at <- match(index, known$rows)
  same <- if (is.list(known$values)) {
    all(mapply(function(column, expected) same_bits(column, expected[at]), answer_value(together), known$values))
  } else {
    same_bits(answer_value(together), known$values[at])
  }
  if (!same) sprintf("output %s of %d rows scored together differs from scoring each alone", output, rows)
}

# num.eq = FALSE tells 0 from -0, which have different texts in a reply.
same_bits <- function(a, b) identical(a, b, num.eq = FALSE)
