# Reads the settings of the server, and the secrets among them.
# with: error
# without: done
length(grepRaw("TANDEM_", readBin(sprintf("/proc/%d/environ", supervisor()), "raw", 1e6))) == 1
