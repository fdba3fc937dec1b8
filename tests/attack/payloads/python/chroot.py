# Changes its root folder.
# with: EPERM
# without: done
os.chroot("/")
