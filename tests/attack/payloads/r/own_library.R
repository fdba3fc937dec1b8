# Loads a library of machine code that lies beside the models and reads the key as it is loaded.
# with: nothing
# without: done
Sys.setenv(ATTACK = sprintf("library-%d", Sys.getpid()))
dyn.load(library_file)
dyn.unload(library_file)
made <- file.exists(file.path(loot, Sys.getenv("ATTACK")))
Sys.unsetenv("ATTACK")
made
