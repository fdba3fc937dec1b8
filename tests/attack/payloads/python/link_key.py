# Gives the key another name where it may be read.
# with: EACCES or EXDEV or EPERM
# without: done
name = tempfile.mktemp()
os.link(key, name)
assert open(name, "rb").read(1)
os.unlink(name)
