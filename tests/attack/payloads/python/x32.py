# Makes a call by its number of another kind of program, which a filter may not know.
# only: x86_64
# with: killed by 31
# without: done or ENOSYS or killed by 31
call(0x40000000 | 39)
