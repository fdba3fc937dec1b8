# As read_key, by a connection that unpacks what it reads.
# with: error
# without: done
nchar(readLines(gzfile(key), warn = FALSE)[1]) > 0
