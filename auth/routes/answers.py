"""What replies of the /auth routes have in common."""

from typing import Final

NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
