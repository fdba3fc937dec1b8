# Holds on to the server as a debugger does.
# only: x86_64
# with: EPERM
# without: done
call(101, 0x4206, supervisor(), 0, 0)
