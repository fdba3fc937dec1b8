# Leaves the processes with which it is killed.
# with: EPERM
# without: done
os.setsid()
