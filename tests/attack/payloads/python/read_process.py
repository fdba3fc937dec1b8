# Reads the memory of the server.
# only: x86_64
# with: EPERM
# without: done
call(310, supervisor(), 0, 0, 0, 0, 0)
