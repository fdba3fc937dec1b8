# Looks at the files that the server has open.
# with: nothing
# without: done
isTRUE(nzchar(Sys.readlink(sprintf("/proc/%d/fd/0", supervisor())), keepNA = TRUE))
