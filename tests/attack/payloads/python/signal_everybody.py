# Sends a signal to all processes; this one does nothing.
# with: EPERM
# without: done
os.kill(1, 0)
os.kill(-1, 0)
