# Cuts a file of the server's short.
# with: EACCES
# without: done
os.truncate(canary, os.path.getsize(canary))
