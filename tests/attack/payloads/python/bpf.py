# Puts a program into the kernel.
# only: x86_64
# with: EPERM
# without: EINVAL or E2BIG or EFAULT
call(321, 0, 0, 0)
