# Makes a queue that others find by its name.
# only: x86_64
# with: EPERM
# without: done
name = f"tandem-attack-{os.getpid()}".encode()
call(240, name, 0o102, 0o600, 0)
call(241, name)
