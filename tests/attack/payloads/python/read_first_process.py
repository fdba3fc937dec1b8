# Reads the environment of process 1, which in a container is the server.
# with: EACCES
# without: done or EACCES
open("/proc/1/environ", "rb").read()
