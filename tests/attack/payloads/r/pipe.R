# Reads from a command.
# with: error or nothing
# without: done
identical(readLines(pipe("echo done")), "done")
