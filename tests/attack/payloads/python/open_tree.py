# Makes a mount of its own.
# with: EPERM
# without: done
call(428, -100, b"/", 1)
