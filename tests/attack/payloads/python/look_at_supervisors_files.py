# Looks at the files that the server has open.
# with: EACCES
# without: done
assert os.readlink(f"/proc/{supervisor()}/fd/0")
