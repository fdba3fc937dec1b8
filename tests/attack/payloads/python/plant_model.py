# Adds a model.
# with: EACCES or EROFS
# without: done
name = models[0] + f"/.attack-{os.getpid()}.tmp"
open(name, "w").close()
os.unlink(name)
