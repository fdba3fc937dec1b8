# What it costs to try a model. Trying has a budget, which is a part of the time that loading may take. An output that
# does not fit into it is tried with fewer calls, or left out with a reason.

# Returns a function that gives the seconds that were spent since. They are the processor's, because a busy machine
# makes no model dearer. Where a model waits for something, a tenth of the clock's seconds count.
stopwatch <- function() {
  start <- proc.time()
  function() {
    spent <- proc.time() - start
    max(spent[["user.self"]] + spent[["sys.self"]], spent[["elapsed"]] / 10)
  }
}

# Evaluates `asked`. After so many seconds R cuts it short by an error. It does so between its own steps, so compiled
# code goes on to its end.
cut_short <- function(seconds, asked) {
  setTimeLimit(cpu = seconds, elapsed = 10 * seconds, transient = TRUE)
  on.exit(setTimeLimit())
  asked
}

# How many calls the proof makes: for the default output, for it in short where that takes too long, and for each of the
# others.
calls_to_prove <- list(default = 20, short = 8, other = 10)

# How many rows the proof may at least ask for alone. NULL if there is no time to prove anything.
least_rows <- function(seconds, budget_s) {
  if (seconds * calls_to_prove$default <= budget_s) return(10L)
  if (seconds * calls_to_prove$short <= budget_s) 4L
}

# R compiles each function at its second call. That pays for functions that predict, as long as a model serves.
# Functions that look at a model once would spend half a second on being compiled, more than on the look. So they are
# called without the compiler, and the model's own functions with it.
without_compiler <- function(name, ...) {
  level <- compiler::enableJIT(0L)
  on.exit(compiler::enableJIT(level))
  get(name, mode = "function")(...)
}

with_compiler <- function(scorer) {
  force(scorer)
  function(...) {
    level <- compiler::enableJIT(usual_level)
    on.exit(compiler::enableJIT(level))
    scorer(...)
  }
}

usual_level <- compiler::enableJIT(-1L)
