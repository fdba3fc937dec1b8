# Starts a shell.
# with: nothing
# without: done
assert os.system("true") == 0
