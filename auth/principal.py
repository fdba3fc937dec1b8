"""Who is asking, and what that allows.

Owns the permissions, the built-in roles, and how a grant and the narrowing of a credential meet. Must not know how a
principal was recognised.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

Kind = Literal["person", "service", "application", "peer"]
"""Kinds of callers.

A person signs in, a service has keys, an application brings its provider's token, a peer is another server.
"""
Role = Literal["scorer", "analyst", "publisher", "auditor", "admin", "none"]
"""The roles that are always there. `none` allows nothing: an account with it has what its grants give it."""
Permission = Literal["list", "score", "details", "publish", "audit", "accounts", "catalog"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
PERMISSIONS: Final[tuple[Permission, ...]] = get_args(Permission)
OF_TARGETS: Final[frozenset[Permission]] = frozenset({"list", "score", "details", "publish"})
"""The permissions that are about one model or endpoint. The others are about the whole server."""
GRANTABLE: Final[tuple[Permission, ...]] = tuple(name for name in PERMISSIONS if name != "catalog")
"""The permissions that a role may have. The catalog is for other servers alone."""

BUILT_IN: Final[dict[str, frozenset[Permission]]] = {
    "none": frozenset(),
    "scorer": frozenset({"list", "score"}),
    "analyst": frozenset({"list", "score", "details"}),
    "publisher": frozenset({"list", "score", "details", "publish"}),
    "auditor": frozenset({"audit"}),
    "admin": frozenset({"list", "score", "details", "publish", "audit", "accounts"}),
    "peer": frozenset({"catalog"}),
}

OF_KEY: Final = "key."
"""How the credential begins that stands for a token which was given for an API key; the key's id follows."""
EVERY_TARGET: Final = ("*",)
_MOST_DECIDED: Final = 10_000
_PATTERN: Final = re.compile(r"(?!$)[A-Za-z0-9._@-]{0,128}\*?", re.ASCII)
_ROLE_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class Allowance:
    """Permissions on targets. The pattern of targets is a name, or the beginning of names and `*`.

    `granted` is the role of the grant that it comes from.
    """

    permissions: frozenset[Permission]
    targets: tuple[str, ...] = EVERY_TARGET
    granted: str = field(default="", compare=False)

    def covers(self, permission: Permission, target: str | None) -> bool:
        """Whether `permission` is allowed on `target`.

        Without a target: on any, if the permission is about targets, else on all.
        """
        if permission not in self.permissions:
            return False
        if permission not in OF_TARGETS:
            return self.unbounded
        return target is None or self.is_about(target)

    def is_about(self, target: str) -> bool:
        """Whether a target is named by this allowance itself."""
        return any(fits(pattern, target) for pattern in self.targets)

    @property
    def unbounded(self) -> bool:
        """Whether this allowance covers every target, also those that are yet to come."""
        return "*" in self.targets


def fits(pattern: str, target: str) -> bool:
    """Whether a target's name fits a pattern."""
    return target.startswith(pattern[:-1]) if pattern.endswith("*") else target == pattern


def is_pattern(pattern: str) -> bool:
    """Whether a text is the name of a target, or a beginning of names and an asterisk."""
    return _PATTERN.fullmatch(pattern) is not None


@dataclass(frozen=True, slots=True)
class Principal:
    """A recognised caller, good until `expires_at` (unix seconds).

    `via` and `credential` say what it was recognised by: a kind of credential, and which one.
    """

    name: str
    kind: Kind
    role: str
    via: str
    credential: str
    expires_at: float
    allowances: tuple[Allowance, ...]
    narrowed: Allowance | None = None
    signed_in_at: float | None = None
    """When the person last proved who they are, if this is a session of a browser."""
    groups: tuple[str, ...] = ()
    """The groups that an identity provider says the caller is in."""
    _decided: dict[tuple[Permission, str | None], bool] = field(default_factory=dict, compare=False, repr=False)
    _roles: dict[str, frozenset[str]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def key(self) -> str | None:
        """The id of the API key that the caller was recognised by, or that the token was given for; else None."""
        of_key = self.credential.startswith(OF_KEY)
        return self.credential if self.via == "key" else self.credential.removeprefix(OF_KEY) if of_key else None

    def may(self, permission: Permission, target: str | None = None) -> bool:
        """Whether the caller may do this on `target`. Without a target: on any, if the permission is about targets."""
        question = permission, target
        answer = self._decided.get(question)
        if answer is None:
            if len(self._decided) >= _MOST_DECIDED:
                self._decided.clear()
            answer = self._decided[question] = self._decide(permission, target)
        return answer

    def roles_on(self, target: str) -> frozenset[str]:
        """The roles that the caller has on a target: its own, and those that were granted."""
        roles = self._roles.get(target)
        if roles is None:
            if len(self._roles) >= _MOST_DECIDED:
                self._roles.clear()
            granted = (one.granted for one in self.allowances if one.granted and one.is_about(target))
            roles = self._roles[target] = frozenset((*self.role.split(), *granted))
        return roles

    def holds(self, allowance: Allowance) -> bool:
        """Whether the caller may do all that `allowance` allows. A pattern is held by one that is as wide."""
        return all(self.may(permission, target) for permission in allowance.permissions for target in allowance.targets)

    def _decide(self, permission: Permission, target: str | None) -> bool:
        if self.narrowed is not None and not self.narrowed.covers(permission, target):
            return False
        return any(allowance.covers(permission, target) for allowance in self.allowances)


def built_in(role: str) -> tuple[Allowance, ...]:
    """What a built-in role allows; nothing for a name that is none."""
    return (Allowance(BUILT_IN.get(role, frozenset())),)


def is_role_name(role: str) -> bool:
    """Whether a role could have this name. Names are shown in tables, so they are plain and short."""
    return _ROLE_NAME.fullmatch(role) is not None
