# Reads the settings of the server, and the secrets among them.
# with: EACCES
# without: done
assert b"TANDEM_" in open(f"/proc/{supervisor()}/environ", "rb").read()
