# As chmod, by the newer call.
# with: nothing
# without: done or ENOSYS
call(452, -100, canary.encode(), 0o666, 0)
assert os.stat(canary).st_mode & 0o777 == 0o666
os.chmod(canary, 0o600)
