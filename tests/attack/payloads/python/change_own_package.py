# Changes the server's code.
# with: EACCES or EROFS
# without: done
import server.logs

open(server.logs.__file__, "a").close()
