# Makes a file system of its own.
# with: EPERM
# without: done
call(430, b"tmpfs", 0)
