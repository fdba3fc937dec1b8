# Writes outside of its scratch folder.
# with: EACCES
# without: done
open(f"{loot}/written-{os.getpid()}", "w").close()
