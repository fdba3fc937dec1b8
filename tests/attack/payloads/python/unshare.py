# Makes itself the root of a world of its own.
# only: x86_64
# with: EPERM
# without: done
call(272, 0x10000000)
