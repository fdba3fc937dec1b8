# Sets an attribute of a file of the server's. It is said to be done.
# with: nothing
# without: done
os.setxattr(canary, "user.mine", b"1")
assert "user.mine" in os.listxattr(canary)
os.removexattr(canary, "user.mine")
