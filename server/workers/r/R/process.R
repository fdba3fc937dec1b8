# What a forked R process shares with its parent and must not: random numbers and the temporary folder.

seed_worker <- function(seed) {
  set.seed(seed, "default", "default", "default")  # whatever kind a model has chosen while it was read
  invisible()
}

random_state <- function() get0(".Random.seed", envir = globalenv(), inherits = FALSE)

restore_random_state <- function(state) {
  if (!is.null(state)) {
    assign(".Random.seed", state, envir = globalenv())
  } else if (!is.null(random_state())) {
    rm(".Random.seed", envir = globalenv())
  }
}

# Removes this process's temporary folder. The template calls it once before it forks: R then makes each fork a new
# one when asked to check, which is the only way that R itself offers to change it.
drop_tempdir <- function() {
  unlink(tempdir(), recursive = TRUE)
  invisible()
}

# Gives a fork a temporary folder of its own inside `path`, an existing folder without spaces in its name, and returns
# it. Only after drop_tempdir() in the parent.
new_tempdir <- function(path) {
  inherited <- tempdir()
  if (dir.exists(inherited)) {
    stop(tandem_condition("failed", "the parent's temporary folder still exists; call drop_tempdir() before the fork"))
  }
  Sys.setenv(TMPDIR = path)
  tempdir(check = TRUE)
}

# Files that R reads while it runs.
r_folders <- function() {
  c(R.home(), R.home("share"), R.home("include"), R.home("doc"), .libPaths())
}

# From now on R takes so many MiB more for vectors; then "vector memory exhausted" or "vector memory limit" is an error.
# R sets no limit below the size at which it would collect garbage next.
limit_memory <- function(more) {
  heap <- gc(full = FALSE)["Vcells", c(2L, 4L)]
  mem.maxVSize(max(heap[[1L]] + more, heap[[2L]]))
  invisible()
}

# Has R find out its time zone, which it remembers, without the programs that it would ask and could not start later.
know_timezone <- function() {
  path <- Sys.getenv("PATH")
  on.exit(Sys.setenv(PATH = path))
  Sys.setenv(PATH = "")
  suppressWarnings(Sys.timezone())
  invisible()
}

# In another locale R would turn the symbols of a model's formula into <U+00E9> and the like on reading it.
use_utf8 <- function() {
  for (locale in c("C.UTF-8", "C.utf8", "en_US.UTF-8")) {
    if (l10n_info()[["UTF-8"]]) break
    suppressWarnings(Sys.setlocale("LC_CTYPE", locale))
  }
  invisible()
}

# A model to rehearse with, in the temporary folder; returns its path.
save_small_model <- function() {
  path <- tempfile(fileext = ".rds")
  saveRDS(stats::lm(y ~ x, data.frame(x = c(1, 2, 3, 4), y = c(1, 3, 2, 4))), path)
  path
}
