# Overwrites the first line of the server's log.
# with: ESPIPE
# without: ESPIPE
os.pwrite(2, b" ", 0)
