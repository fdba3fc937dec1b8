# Opens the server's memory.
# with: EACCES
# without: done
open(f"/proc/{supervisor()}/mem", "rb").close()
