# Measures other processes.
# only: x86_64
# with: EPERM
# without: EFAULT or ENOENT or EINVAL
call(298, 0, 0, -1, -1, 0)
