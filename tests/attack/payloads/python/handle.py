# Opens a file by its number, past all folders.
# only: x86_64
# with: EPERM
# without: EFAULT
call(304, -100, 0, 0)
