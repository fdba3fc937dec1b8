# Makes a pair that can write to any socket with a name, such as the system's log.
# with: EPERM
# without: done
socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
