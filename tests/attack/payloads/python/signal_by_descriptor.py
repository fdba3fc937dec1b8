# As signal, by the newer call.
# with: EPERM
# without: done
signal.pidfd_send_signal(os.pidfd_open(supervisor()), signal.SIGCONT)
