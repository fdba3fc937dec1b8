# Fetches a file.
# with: error
# without: done
name <- own_file()
download.file(sprintf("http://127.0.0.1:%d/x", port), name, method = "libcurl", quiet = TRUE)
identical(readLines(name), "hello")
