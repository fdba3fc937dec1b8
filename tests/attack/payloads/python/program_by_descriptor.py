# Starts a program that has no name, or none that it may find.
# with: EPERM
# without: done
program = os.open("/bin/true", os.O_PATH)
child = os.fork()
if not child:
    try:
        os.execve(program, ["true"], {})
    except OSError as e:
        os._exit(e.errno)
failed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
if failed:
    raise OSError(failed, "")
