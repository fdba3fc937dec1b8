# Sends a datagram, as to a name server.
# with: EPERM
# without: done
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9))
