# Lists the data folder.
# with: nothing
# without: done
length(list.files(data)) > 0
