# Calls the machine that this virtual one runs on.
# with: EPERM
# without: done or EAFNOSUPPORT
socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
