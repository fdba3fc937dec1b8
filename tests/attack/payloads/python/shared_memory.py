# Makes memory that others find by its number.
# only: x86_64
# with: EPERM
# without: done
call(31, call(29, 0, 4096, 0o1600), 0, 0)
