# Leaves a file in the temporary folder of the machine.
# with: EACCES
# without: done
name = f"/tmp/tandem-attack-{os.getpid()}"
open(name, "w").close()
os.unlink(name)
