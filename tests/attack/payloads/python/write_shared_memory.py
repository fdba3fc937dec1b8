# Leaves a file in memory that others find by its name.
# with: EACCES
# without: done
name = f"/dev/shm/tandem-attack-{os.getpid()}"
open(name, "w").close()
os.unlink(name)
