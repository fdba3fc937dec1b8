# Reads the key through a link in its own folder.
# with: EACCES
# without: done
name = tempfile.mktemp()
os.symlink(key, name)
assert open(name, "rb").read(1)
