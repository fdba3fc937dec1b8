# Whether a model may be batched: only if scoring rows together gives, to the last bit, what each gives alone.

# list(rowwise, rows, reason). `budget_s` bounds the time for a slow model; two sizes are always tried.
prove_rowwise <- function(scorer, description, budget_s = 0.25) {
  if (isTRUE(description$horizon)) return(list(rowwise = FALSE, rows = 0L, reason = "its input is a horizon, not rows"))
  before <- random_state()
  on.exit(restore_random_state(before))
  started <- proc.time()[["elapsed"]]
  outputs <- names(description$outputs)
  sample <- sample_with_missing(description)
  alone <- score_alone(scorer, sample, outputs, started + budget_s)
  good <- which(vapply(alone, function(replies) is.null(first_error(replies)), NA))
  spent <- proc.time()[["elapsed"]] - started
  reason <- if (length(good) < 2L) {
    paste("predict() failed on the sample rows:", first_error(unlist(alone, recursive = FALSE)))
  } else {
    compare_batches(scorer, sample, alone, batches(good, sample$missing, wide = spent < budget_s / 2))
  }
  if (length(good) >= 2L && !identical(before, random_state())) reason <- "predict() draws random numbers"
  list(rowwise = is.null(reason), rows = length(good), reason = reason)
}

first_error <- function(replies) {
  for (reply in replies) {
    if (!is.null(reply[[5L]])) return(reply[[5L]])
  }
}

# The first difference between a batch and its rows alone, or NULL.
compare_batches <- function(scorer, sample, alone, batches) {
  for (index in batches) {
    columns <- lapply(sample$columns, `[`, index)
    for (output in names(alone[[1L]])) {
      together <- scorer(columns, output, length(index))
      reason <- difference(together, lapply(alone[index], `[[`, output), output)
      if (!is.null(reason)) return(reason)
    }
  }
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

# For each row a list of replies by output; stops early, but not before 10 rows, when the time is up.
score_alone <- function(scorer, sample, outputs, until) {
  alone <- list()
  for (k in seq_len(sample$rows)) {
    if (k > 10L && proc.time()[["elapsed"]] > until) break
    row <- lapply(sample$columns, `[`, k)
    alone[[k]] <- lapply(stats::setNames(nm = outputs), function(output) scorer(row, output, 1L))
  }
  alone
}

# Which rows to score together: with and without missing values, in more than one order. The wide one is there for
# BLAS and compiled code that change their way with the size.
batches <- function(good, missing, wide) {
  whole <- setdiff(good, missing)
  some <- lapply(c(2L, 3L, 8L), function(size) utils::head(good, size))
  clean <- lapply(c(2L, 3L, 8L, 32L), function(size) utils::head(whole, size))
  all <- unique(c(some, clean, list(good, rev(good))))
  if (wide) all <- c(all, lapply(c(64L, 1024L), function(size) rep(good, length.out = size)))
  Filter(function(index) length(index) > 1L, all)
}

difference <- function(together, alone, output) {
  rows <- length(alone)
  if (!is.null(together[[5L]])) {
    return(sprintf("%d rows together fail though each alone does not: %s", rows, together[[5L]]))
  }
  for (part in 2:3) {
    if (!all(vapply(alone, function(reply) identical(reply[[part]], together[[part]]), NA))) {
      return(sprintf("output %s has other columns or levels for %d rows together than for one", output, rows))
    }
  }
  values <- lapply(alone, `[[`, 1L)
  same <- if (is.list(together[[1L]])) {
    all(unlist(Map(function(column, j) {
      same_bits(column, unlist(lapply(values, `[[`, j)))
    }, together[[1L]], seq_along(together[[1L]]))))
  } else {
    same_bits(together[[1L]], unlist(values))
  }
  if (!same) sprintf("output %s of %d rows scored together differs from scoring each alone", output, rows)
}

# num.eq = FALSE tells 0 from -0, which have different texts in a reply.
same_bits <- function(a, b) identical(a, b, num.eq = FALSE)
