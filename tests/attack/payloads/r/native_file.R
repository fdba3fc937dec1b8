# Makes a file by the C library itself.
# with: nothing
# without: done
name <- sprintf("%s/created-%d", loot, Sys.getpid())
native("creat", name)
file.exists(name)
