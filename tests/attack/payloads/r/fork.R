# Has a child do it, which R makes by itself.
# with: nothing
# without: done
found <- parallel::mccollect(parallel::mcparallel(length(readBin(key, "raw", 1)), silent = TRUE))
identical(found[[1]], 1L)
