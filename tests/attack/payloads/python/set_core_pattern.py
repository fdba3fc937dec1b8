# Has the kernel start a program of its own when a process crashes.
# with: EACCES
# without: done
open("/proc/sys/kernel/core_pattern", "a").close()
