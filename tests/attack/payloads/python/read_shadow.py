# Reads the hashes of the machine's passwords.
# with: EACCES
# without: done
assert open("/etc/shadow", "rb").read(1)
