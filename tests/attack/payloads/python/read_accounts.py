# Reads the accounts.
# with: EACCES
# without: done
assert open(data + "/accounts.sqlite", "rb").read(6) == b"SQLite"
