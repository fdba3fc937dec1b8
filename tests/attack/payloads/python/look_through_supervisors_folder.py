# Learns where the server runs.
# with: EACCES
# without: done
os.readlink(f"/proc/{supervisor()}/cwd")
