# Lets everybody read a file of the server's. It is said to be done.
# with: nothing
# without: done
os.chmod(canary, 0o666)
assert os.stat(canary).st_mode & 0o777 == 0o666
os.chmod(canary, 0o600)
