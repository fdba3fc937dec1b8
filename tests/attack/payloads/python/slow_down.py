# Gives the server less of the processor.
# with: EPERM
# without: done
os.setpriority(os.PRIO_PROCESS, supervisor(), os.getpriority(os.PRIO_PROCESS, supervisor()))
