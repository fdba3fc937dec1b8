# Learns where things lie in the server's memory.
# with: EACCES
# without: done
assert open(f"/proc/{supervisor()}/maps").read(1)
