# Takes memory that not even the kernel sees.
# with: EPERM
# without: done or ENOSYS
call(447, 0)
