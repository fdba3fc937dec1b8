# Reads the key through a link in its own folder.
# with: error
# without: done
name <- own_file()
file.symlink(key, name) && length(readBin(name, "raw", 1)) == 1
