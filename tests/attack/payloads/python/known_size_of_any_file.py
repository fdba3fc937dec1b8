# Asks for the size and the times of a file. SECURITY.md says that it may.
# with: done
# without: done
assert os.stat(key).st_size
