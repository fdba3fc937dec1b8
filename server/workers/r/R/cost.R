# What it costs to try a model. Trying has a budget, a part of the time that loading may take: what does not fit into
# it is tried less, or left out with a reason.

# A function that gives the seconds spent since. They are the processor's, as a busy machine makes no model dearer; of
# a model that waits for something they are a tenth of the clock's.
stopwatch <- function() {
  start <- proc.time()
  function() {
    spent <- proc.time() - start
    max(spent[["user.self"]] + spent[["sys.self"]], spent[["elapsed"]] / 10)
  }
}

# Evaluates `asked`, which R cuts short by an error after so many seconds, between its own steps: compiled code goes on
# to its end.
cut_short <- function(seconds, asked) {
  setTimeLimit(cpu = seconds, elapsed = 10 * seconds, transient = TRUE)
  on.exit(setTimeLimit())
  asked
}

# How often the proof asks for the default output, in short where that takes too long, and for each of the others.
calls_to_prove <- list(default = 20, short = 8, other = 10)

# How many rows of a model the proof may ask for alone at least: NULL if there is no time to prove anything.
least_rows <- function(seconds, budget_s) {
  if (seconds * calls_to_prove$default <= budget_s) return(10L)
  if (seconds * calls_to_prove$short <= budget_s) 4L
}

# R's compiler takes up each function at its second call. That pays for what predicts, as long as a model serves. What
# looks at a model once would spend half a second on being compiled, more than on the look. So it is called without,
# and the model within it as ever.
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
