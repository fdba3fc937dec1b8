# Runs a program.
# with: nothing or error
# without: done
system2("/bin/true") == 0
