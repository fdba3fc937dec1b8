# Takes an attribute away, by a call that the library of the sandbox has no name for.
# with: ENOSYS
# without: ENODATA or ENOSYS
call(466, -100, canary.encode(), 0, b"user.none")
