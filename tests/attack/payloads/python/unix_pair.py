# Has half of a pair of sockets call the supervisor's own.
# with: EPERM
# without: EISCONN
socket.socketpair()[0].connect(str(hub()))
