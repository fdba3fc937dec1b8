# Makes packets of its own.
# with: EPERM
# without: done
socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
