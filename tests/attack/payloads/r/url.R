# Asks a listener by HTTP.
# with: error
# without: done
opened <- url(sprintf("http://127.0.0.1:%d", port), method = "libcurl")
on.exit(close(opened))
identical(readLines(opened), "hello")
