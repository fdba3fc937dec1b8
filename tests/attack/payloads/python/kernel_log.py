# Reads the kernel's log.
# only: x86_64
# with: EPERM
# without: done
call(103, 10, 0, 0)
