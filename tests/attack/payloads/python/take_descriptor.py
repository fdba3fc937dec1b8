# Takes a file that the server has open.
# with: EPERM
# without: done
call(438, os.pidfd_open(supervisor()), 1, 0)
