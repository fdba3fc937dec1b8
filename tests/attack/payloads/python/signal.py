# Sends a signal to the server; this one does nothing.
# with: EPERM
# without: done
os.kill(supervisor(), signal.SIGCONT)
