# Plain R, as an analyst has it: evaluates one line at a time, sent by plain_r.py, and answers each with one line.

columns_of <- function(path, names) {
  values <- readBin(path, "double", file.size(path) / 8)
  as.data.frame(matrix(values, ncol = length(names), dimnames = list(NULL, names)))
}

write_answers <- function(model, rows, path) writeBin(as.double(predict(model, rows)), path)

# predict() calls in a second, each with the same data frame.
calls_per_s <- function(model, rows, seconds) {
  calls <- 0
  started <- proc.time()[["elapsed"]]
  repeat {
    for (i in 1:10) predict(model, rows)
    calls <- calls + 10
    spent <- proc.time()[["elapsed"]] - started
    if (spent >= seconds) return(calls / spent)
  }
}

# The same for data frames so big that ten calls would take too long.
rows_per_s <- function(model, rows, seconds) {
  calls <- 0
  started <- proc.time()[["elapsed"]]
  repeat {
    predict(model, rows)
    calls <- calls + 1
    spent <- proc.time()[["elapsed"]] - started
    if (spent >= seconds) return(nrow(rows) * calls / spent)
  }
}

lines <- file("stdin", "r")
while (length(line <- readLines(lines, 1L)) > 0L) {
  value <- eval(parse(text = line))
  cat(format(if (is.null(value)) "" else value, digits = 10), "\n", sep = "")
  flush(stdout())
}
