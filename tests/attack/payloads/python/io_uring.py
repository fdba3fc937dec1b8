# Asks the kernel by a queue that filters do not see.
# with: EPERM
# without: EFAULT or ENOSYS
call(425, 1, 0)
