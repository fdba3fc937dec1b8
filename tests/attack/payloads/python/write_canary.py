# Writes to a file of the server's.
# with: EACCES
# without: done
open(canary, "a").close()
