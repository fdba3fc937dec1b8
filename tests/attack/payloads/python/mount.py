# Lays a folder over another.
# only: x86_64
# with: EPERM
# without: EFAULT
call(165, 0, 0, 0, 0, 0)
