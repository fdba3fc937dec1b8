# Gives the key another name where it may be read.
# with: nothing or error
# without: done
name <- own_file()
file.link(key, name) && length(readBin(name, "raw", 1)) == 1
