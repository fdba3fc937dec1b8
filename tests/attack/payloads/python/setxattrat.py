# As setxattr, by a call that the library of the sandbox has no name for; it made the key readable for all.
# with: ENOSYS
# without: done or ENOSYS
text = ctypes.create_string_buffer(b"1")
value = (ctypes.c_uint64 * 2)(ctypes.addressof(text), 1)
call(463, -100, canary.encode(), 0, b"user.mine", ctypes.byref(value), 16)
assert "user.mine" in os.listxattr(canary)
os.removexattr(canary, "user.mine")
