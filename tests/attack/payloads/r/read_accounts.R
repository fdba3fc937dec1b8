# Reads the accounts.
# with: error
# without: done
rawToChar(readBin(file.path(data, "accounts.sqlite"), "raw", 6)) == "SQLite"
