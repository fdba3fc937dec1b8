# Lists the folder of sockets, and the scratch folders of others.
# with: EACCES
# without: done
assert os.listdir(hub().parent)
