# Adds a model.
# with: nothing
# without: done
name <- file.path(models[1], sprintf(".attack-%d.tmp", Sys.getpid()))
file.create(name) && file.remove(name)
