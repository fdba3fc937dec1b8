# Moves a file of the server's.
# with: nothing
# without: done
file.rename(canary, paste0(canary, ".moved")) && file.rename(paste0(canary, ".moved"), canary)
