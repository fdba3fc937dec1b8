# Reaches the kernel's ring of keys.
# only: x86_64
# with: EPERM
# without: done
call(250, 0, -3, 0, 0, 0)
