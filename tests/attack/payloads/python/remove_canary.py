# Removes a file of the server's.
# with: EACCES
# without: done
os.unlink(canary)
Path(canary).write_text("secret")
