# Becomes somebody else.
# with: EPERM
# without: done
os.setuid(65534)
