# Removes a file of the server's by the C library itself.
# with: nothing
# without: done
native("unlink", canary)
gone <- !file.exists(canary)
if (gone) writeLines("secret", canary)
gone
