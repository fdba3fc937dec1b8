# Has the server run on processors of its choice.
# with: EPERM
# without: done
os.sched_setaffinity(supervisor(), os.sched_getaffinity(supervisor()))
