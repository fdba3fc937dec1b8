# Listens for somebody to come.
# with: EPERM
# without: done
socket.create_server(("127.0.0.1", 0)).close()
