# Reads the key when a value is first used.
# with: error
# without: done
delayedAssign("later", readBin(key, "raw", 1))
length(later) == 1
