# Sends a signal to the server; this one does nothing.
# with: nothing
# without: done
tools::pskill(supervisor(), 18L)
