# Runs a command by the C library itself, past all of R.
# with: nothing
# without: done
name <- sprintf("%s/native-%d", loot, Sys.getpid())
native("system", paste("touch", name))
file.exists(name)
