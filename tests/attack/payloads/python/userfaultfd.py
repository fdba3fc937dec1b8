# Holds the kernel up in the middle of a call.
# only: x86_64
# with: EPERM
# without: done or ENOSYS
call(323, 1)
