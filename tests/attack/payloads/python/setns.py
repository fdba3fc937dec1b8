# Enters the world of another process.
# only: x86_64
# with: EPERM
# without: EBADF or EINVAL
call(308, -1, 0)
