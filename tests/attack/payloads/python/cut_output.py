# Cuts the server's log short.
# with: EINVAL
# without: EINVAL
os.ftruncate(2, 0)
