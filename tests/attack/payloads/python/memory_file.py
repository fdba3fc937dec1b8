# Takes memory that is counted as nobody's.
# with: EPERM
# without: done
os.memfd_create("hidden")
