# Removes a file of the server's.
# with: nothing
# without: done
unlink(canary)
gone <- !file.exists(canary)
if (gone) writeLines("secret", canary)
gone
