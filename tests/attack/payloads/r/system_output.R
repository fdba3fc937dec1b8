# Runs a command, and reads what it says.
# with: error or nothing
# without: done
identical(system("echo done", intern = TRUE), "done")
