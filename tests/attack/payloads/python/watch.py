# Is told whenever a file of the server's is used.
# with: EPERM
# without: done
watch = ctypes.CDLL(None, use_errno=True)
made = watch.inotify_init1(0)
if made < 0 or watch.inotify_add_watch(made, data.encode(), 0xFFF) < 0:
    raise OSError(ctypes.get_errno(), "")
