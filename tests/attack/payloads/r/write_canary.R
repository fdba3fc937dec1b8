# Writes to a file of the server's.
# with: error
# without: done
close(file(canary, "a"))
TRUE
