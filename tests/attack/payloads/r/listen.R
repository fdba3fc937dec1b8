# Listens for somebody to come.
# with: error
# without: done
close(serverSocket(0L))
TRUE
