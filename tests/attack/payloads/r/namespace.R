# Reads the key when a package is loaded that it has made in its own folder.
# with: error
# without: done
seen <- loading(library("tandemattack", lib.loc = made_package(own_file(), key), character.only = TRUE))
detach("package:tandemattack", unload = TRUE)
length(seen) == 1
