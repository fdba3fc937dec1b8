# Adds a module to the packages of the server.
# with: EACCES or EROFS
# without: done
import numpy

name = Path(numpy.__file__).parent.parent / f"tandem_attack_{os.getpid()}.txt"
open(name, "w").close()
os.unlink(name)
