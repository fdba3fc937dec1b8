# What a model in R attacks with: runs payloads and says how each has ended. tests/attack/payloads.py writes `payloads`
# and `targets` before it, and has a model bring all of it along.

supervisor <- function() {
  pid <- Sys.getpid()
  repeat {
    status <- readLines(sprintf("/proc/%d/status", pid))
    pid <- as.integer(sub("PPid:\t", "", grep("^PPid", status, value = TRUE)))
    command <- readBin(sprintf("/proc/%d/cmdline", pid), "raw", 4096)
    command <- rawToChar(replace(command, command == 0, as.raw(32)))
    if (pid == 1L || grepl("server.cli|tandem serve", command)) return(pid)
  }
}

# Calls a function of the C library that takes the name of a file, or a command.
native <- function(name, text) {
  mapped <- sub(".* ", "", grep("/libc[.]so", readLines("/proc/self/maps"), value = TRUE)[1])
  library <- dyn.load(mapped)
  .C(getNativeSymbolInfo(name, library), c(charToRaw(text), as.raw(0)), raw(8))
}

# A name for a file in this process's own folder.
own_file <- function() tempfile(tmpdir = Sys.getenv("TMPDIR"))

# The folder of a package, as if it had been installed, that reads a file when it is loaded.
made_package <- function(folder, key) {
  package <- file.path(folder, "tandemattack")
  for (part in c("Meta", "R")) dir.create(file.path(package, part), recursive = TRUE)
  described <- c(Package = "tandemattack", Version = "1.0")
  write.dcf(as.list(described), file.path(package, "DESCRIPTION"))
  built <- list(R = getRversion(), Platform = "", Date = "2026-01-01", OStype = "unix")
  saveRDS(list(DESCRIPTION = described, Built = built, Depends = list(), Imports = list()),
          file.path(package, "Meta", "package.rds"))
  file.create(file.path(package, "NAMESPACE"))
  saveRDS(parseNamespaceFile("tandemattack", folder), file.path(package, "Meta", "nsInfo.rds"))
  on_load <- bquote(.onLoad <- function(...) options(attack.key = readBin(.(key), "raw", 1)))
  writeLines(deparse(on_load), file.path(package, "R", "tandemattack"))
  folder
}

# What the package of made_package() has read as it was loaded.
loading <- function(load) {
  options(attack.key = NULL)
  force(load)
  seen <- getOption("attack.key")
  options(attack.key = NULL)
  seen
}

# A file of the server's: one of this process alone, where it can make it.
canary_of <- function(name) {
  own <- sprintf("%s/%s-%d", targets$canaries, name, Sys.getpid())
  if (suppressWarnings(file.create(own))) own else file.path(targets$canaries, name)
}

outcome <- function(name) {
  given <- c(targets, list(canary = canary_of(name)))
  place <- list2env(given, parent = environment(outcome))
  met <- function(e) paste("error:", conditionMessage(e))
  tryCatch(if (isTRUE(suppressWarnings(eval(payloads[[name]], place)))) "done" else "nothing", error = met)
}

# Once in each process: who reads a model looks at its parts many times. A mark in the process itself would be seen.
say <- function(model) {
  mark <- sprintf("%s/attack-%s-%d", Sys.getenv("TMPDIR"), model, Sys.getpid())
  if (file.exists(mark)) return(invisible())
  file.create(mark)
  ended <- sub(":.*", "", vapply(names(payloads), outcome, ""))
  cat("attack ", model, ": ", paste0(names(payloads), "=", ended, collapse = " "), "\n", sep = "")
}
