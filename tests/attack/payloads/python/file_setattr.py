# Sets the flags of a file, as that nobody may change it.
# with: ENOSYS
# without: done or EOPNOTSUPP or EINVAL or ENOSYS
call(469, -100, canary.encode(), ctypes.byref((ctypes.c_uint64 * 3)()), 24, 0)
