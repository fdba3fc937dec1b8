# Calls the supervisor's own socket.
# with: EPERM
# without: done
socket.socket(socket.AF_UNIX).connect(str(hub()))
