# Lists the data folder.
# with: EACCES
# without: done
assert os.listdir(data)
