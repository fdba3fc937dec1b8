# Reaches the kernel's ciphers, which had a hole.
# with: EPERM
# without: done or EAFNOSUPPORT
socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)
