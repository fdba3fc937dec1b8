# Reads the command lines of other processes. The decision on the sandbox says that it may.
# with: done
# without: done
assert open(f"/proc/{supervisor()}/cmdline").read(1)
