# Reads the key when a value is printed.
# with: error
# without: done
found <- new.env()
registerS3method("print", "attack", function(x, ...) found$key <- readBin(key, "raw", 1))
capture.output(print(structure(1, class = "attack")))
length(found$key) == 1
