# A call that no kernel has yet, and nobody has looked at.
# with: ENOSYS
# without: ENOSYS
call(599)
