# Reads the hashes of the machine's passwords.
# with: error
# without: done
length(readBin("/etc/shadow", "raw", 1)) == 1
