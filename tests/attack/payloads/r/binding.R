# Reads the key when a name is looked at.
# with: error
# without: done
place <- new.env()
makeActiveBinding("key", function() readBin(key, "raw", 1), place)
length(place$key) == 1
