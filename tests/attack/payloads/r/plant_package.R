# Makes a package among those of the server.
# with: nothing
# without: done
name <- file.path(.Library, "tandemattack")
dir.create(name) && unlink(name, recursive = TRUE) == 0
