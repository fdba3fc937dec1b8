# Reads the key by another name of the root folder.
# with: EACCES
# without: done
assert open(f"/proc/{supervisor()}/root{key}", "rb").read(1)
