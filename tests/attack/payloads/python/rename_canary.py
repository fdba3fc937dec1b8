# Moves a file of the server's to where it may be read.
# with: EACCES or EXDEV
# without: done
os.rename(canary, canary + ".moved")
os.rename(canary + ".moved", canary)
