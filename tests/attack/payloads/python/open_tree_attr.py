# Gets a descriptor of a file that it may not open.
# with: ENOSYS
# without: done or EINVAL or ENOSYS
call(467, -100, canary.encode(), 0, None, 0)
