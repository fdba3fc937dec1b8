# Reads the key that signs tokens.
# with: error
# without: done
length(readBin(key, "raw", 1)) == 1
