# Reads the key when R frees an object, at a time of its own.
# with: nothing
# without: done
found <- new.env()
local({
  doomed <- new.env()
  reg.finalizer(doomed, function(e) {
    found$key <- tryCatch(suppressWarnings(readBin(key, "raw", 1)), error = function(e) NULL)
  })
})
gc()
length(found$key) == 1
