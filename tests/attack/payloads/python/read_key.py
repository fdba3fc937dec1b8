# Reads the key that signs tokens.
# with: EACCES
# without: done
assert open(key, "rb").read(1)
