# Asks the kernel about the network.
# with: EPERM
# without: done
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
