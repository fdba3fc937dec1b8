# Lists the home folder of root.
# with: EACCES
# without: done
os.listdir("/root")
