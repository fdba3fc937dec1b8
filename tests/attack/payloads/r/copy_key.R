# Copies the key to where it may be read.
# with: nothing
# without: done
name <- own_file()
file.copy(key, name) && length(readBin(name, "raw", 1)) == 1
