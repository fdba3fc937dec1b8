"""What the /auth routes answer with when something cannot be done."""

from typing import Final

from auth.errors import AccountProblem

NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
STATUS: Final[dict[AccountProblem, int]] = {
    "bad_name": 422,
    "bad_password": 422,
    "no_password": 422,
    "unknown_role": 422,
    "bad_days": 422,
    "bad_key_name": 422,
    "bad_pattern": 422,
    "bad_role_name": 422,
    "bad_grantee": 422,
    "built_in": 409,
    "role_in_use": 409,
    "no_such_role": 404,
    "unknown_grant": 404,
    "exists": 409,
    "unknown": 404,
    "unknown_key": 404,
    "last_admin": 409,
    "in_file": 409,
    "lacking": 403,
    "elsewhere": 409,
}
"""The status of each reason for which an account, a key, a role or a grant cannot be changed as asked."""
