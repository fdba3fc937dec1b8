# Looks at the files of the process that it was forked from, which it is itself while it is read.
# with: EACCES
# at load: done
# without: done
assert os.readlink(f"/proc/{above()[-2]}/fd/0")
