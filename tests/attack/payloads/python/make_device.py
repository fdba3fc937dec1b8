# Makes a disk of its own, to read what is on the real one.
# with: EACCES or EPERM
# without: done
name = tempfile.mktemp()
os.mknod(name, 0o60600, os.makedev(254, 0))
os.unlink(name)
