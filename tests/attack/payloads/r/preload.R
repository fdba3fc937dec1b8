# As own_library, in whatever program is started next.
# with: nothing
# without: done
Sys.setenv(ATTACK = sprintf("preload-%d", Sys.getpid()), LD_PRELOAD = library_file)
system("true")
made <- file.exists(file.path(loot, Sys.getenv("ATTACK")))
Sys.unsetenv(c("ATTACK", "LD_PRELOAD"))
made
