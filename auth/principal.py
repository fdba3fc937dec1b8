"""Who is asking, and what that allows.

Owns the roles and the permissions they grant. Must not know how a principal was recognised.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Role = Literal["scorer", "analyst", "admin"]
"""What an account may be."""
AnyRole = Role | Literal["peer"]
"""What a caller may be: a peer is another server, which has no account."""
Permission = Literal["score", "details", "accounts", "catalog"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)

_GRANTED: Final[dict[AnyRole, frozenset[Permission]]] = {
    "scorer": frozenset({"score"}),
    "analyst": frozenset({"score", "details"}),
    "admin": frozenset({"score", "details", "accounts"}),
    "peer": frozenset({"catalog"}),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """A recognised caller, good until `expires_at` (unix seconds)."""

    name: str
    role: AnyRole
    session: str
    expires_at: float

    def may(self, permission: Permission) -> bool:
        """Whether the role grants `permission`."""
        return permission in _GRANTED[self.role]
