# Errors that Tandem names. `code` is one of those in server/wire/models.py (LoadCode). The message says what is wrong
# and what to do; it reaches analysts, so it holds no path.

tandem_condition <- function(code, message) {
  structure(
    list(message = message, call = NULL, code = code),
    class = c("tandem_error", code, "error", "condition")
  )
}

# Calls f(...) for a caller that can only read values: list(value, code, message), code and message NULL if it went
# well. An error of another kind has the code "failed".
attempt <- function(f, ...) {
  tryCatch(
    list(value = f(...), code = NULL, message = NULL),
    error = function(e) {
      code <- if (inherits(e, "tandem_error")) e$code else "failed"
      list(value = NULL, code = code, message = conditionMessage(e))
    }
  )
}
