# Lets everybody read a file of the server's. It is said to be done.
# with: nothing
# without: done
Sys.chmod(canary, "0666", use_umask = FALSE)
open <- file.mode(canary) == as.octmode("666")
Sys.chmod(canary, "0600", use_umask = FALSE)
open
