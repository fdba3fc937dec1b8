# As namespace, where the package lies beside the models and R is told to look for packages there.
# with: error
# without: done
before <- .libPaths()
seen <- tryCatch({
  .libPaths(file.path(models[1], "library"))
  loading(loadNamespace("tandemattack"))
}, finally = .libPaths(before))
unloadNamespace("tandemattack")
length(seen) == 1
