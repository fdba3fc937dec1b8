# Gives a file of the server's away. It is said to be done.
# with: nothing
# without: done
os.chown(canary, -1, 65534)
assert os.stat(canary).st_gid == 65534
os.chown(canary, -1, 0)
