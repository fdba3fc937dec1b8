# Limits what the server may use.
# with: EPERM
# without: done
resource.prlimit(supervisor(), resource.RLIMIT_NOFILE)
