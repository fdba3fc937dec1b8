# Calls a listener.
# with: error
# without: done
close(socketConnection("127.0.0.1", port, open = "w", timeout = 1))
TRUE
