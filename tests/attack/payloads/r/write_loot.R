# Writes outside of its scratch folder.
# with: nothing
# without: done
file.create(sprintf("%s/written-%d", loot, Sys.getpid()))
