# Runs a command.
# with: nothing
# without: done
system("true") == 0
