"""Roles of one's own, and grants: what an account is allowed beyond its role, and where.

Owns both, and how they add up. Must not know credentials or HTTP. Every time is an argument, in unix seconds.

A grant is given to the name of a principal or to a group. A group is what an identity provider says somebody is in, so
no account has to be there for one; or one of our own, which accounts are put into.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Protocol

from auth.audit import Act, record
from auth.database import Database, Transaction
from auth.errors import AccountError
from auth.principal import BUILT_IN, GRANTABLE, ROLES, Allowance, Permission, built_in, is_role_name
from auth.sessions import count_revocation

_GRANTEE: Final = re.compile(r"[!-~]{1,300}")


@dataclass(frozen=True, slots=True)
class RoleOfOwn:
    """A role that an administrator has made: a name for some permissions."""

    name: str
    permissions: tuple[Permission, ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """A role on some models, for a principal or a group."""

    id: str
    to: str
    role: str
    models: tuple[str, ...]
    created_at: float
    created_by: str


class PolicyStore(Protocol):
    """Where roles and grants are kept. A change that cannot be made raises `AccountError`."""

    def roles(self) -> tuple[RoleOfOwn, ...]:
        """Every role, the built-in ones first."""

    def permissions(self, role: str) -> frozenset[Permission]:
        """The permissions of a role; raise `AccountError` if there is none of this name."""

    def put_role(self, name: str, permissions: Iterable[Permission]) -> RoleOfOwn:
        """Make a role, or give it other permissions."""

    def remove_role(self, name: str) -> None:
        """Remove a role that no account and no grant has."""

    def grants(self) -> tuple[Grant, ...]:
        """Every grant, by whom it is for."""

    def add_grant(self, to: str, allowance: Allowance, role: str, by: str, now: float) -> Grant:
        """Give a role on the targets of `allowance`."""

    def remove_grant(self, grant: str) -> Grant:
        """Take a grant back, and return it as it was."""

    def allowances(self, name: str, role: str, groups: Iterable[str] = ()) -> tuple[Allowance, ...]:
        """All that somebody of this name and role is allowed, in these groups."""


class NoPolicy:
    """The roles and grants of a file of accounts: the built-in roles, and no grants."""

    def roles(self) -> tuple[RoleOfOwn, ...]:
        """The built-in roles."""
        return tuple(_built_in_roles())

    def permissions(self, role: str) -> frozenset[Permission]:
        """The permissions of a built-in role."""
        return _built_in(role)

    def put_role(self, name: str, permissions: Iterable[Permission]) -> NoReturn:
        """Refuse: a file of accounts has the built-in roles alone."""
        raise AccountError("in_file")

    def remove_role(self, name: str) -> NoReturn:
        """Refuse: a file of accounts has the built-in roles alone."""
        raise AccountError("in_file")

    def grants(self) -> NoReturn:
        """Refuse: a file of accounts has no grants."""
        raise AccountError("in_file")

    def add_grant(self, to: str, allowance: Allowance, role: str, by: str, now: float) -> NoReturn:
        """Refuse: a file of accounts has no grants."""
        raise AccountError("in_file")

    def remove_grant(self, grant: str) -> NoReturn:
        """Refuse: a file of accounts has no grants."""
        raise AccountError("in_file")

    def allowances(self, name: str, role: str, groups: Iterable[str] = ()) -> tuple[Allowance, ...]:
        """What the role allows: a file of accounts has no grants."""
        return built_in(role)


class Policy:
    """The roles and grants in a database."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def roles(self) -> tuple[RoleOfOwn, ...]:
        """Every role, the built-in ones first."""
        rows = self._database.read("SELECT name, permissions FROM roles ORDER BY name")
        return (*_built_in_roles(), *(RoleOfOwn(name, tuple(permissions.split())) for name, permissions in rows))

    def permissions(self, role: str) -> frozenset[Permission]:
        """The permissions of a role; raise `AccountError` if there is none of this name."""
        if role in ROLES:
            return _built_in(role)
        rows = self._database.read("SELECT permissions FROM roles WHERE name = ?", role)
        if not rows:
            raise AccountError("unknown_role")
        return frozenset(rows[0][0].split())

    def put_role(self, name: str, permissions: Iterable[Permission]) -> RoleOfOwn:
        """Make a role, or give it other permissions."""
        if not is_role_name(name):
            raise AccountError("bad_role_name")
        if name in BUILT_IN:
            raise AccountError("built_in")
        made = RoleOfOwn(name, tuple(one for one in GRANTABLE if one in set(permissions)))
        upsert = "INSERT INTO roles VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET permissions = excluded.permissions"
        with self._database.transaction() as db:
            db.execute(upsert, (name, " ".join(made.permissions)))
            count_revocation(db)
            record(db, Act("role.set", name, more={"permissions": " ".join(made.permissions)}), self._clock())
        return made

    def remove_role(self, name: str) -> None:
        """Remove a role that no account and no grant has."""
        if name in BUILT_IN:
            raise AccountError("built_in")
        with self._database.transaction() as db:
            for table in ("accounts", "grants"):
                if db.execute(f"SELECT 1 FROM {table} WHERE role = ?", (name,)).fetchone():
                    raise AccountError("role_in_use")
            if db.execute("DELETE FROM roles WHERE name = ?", (name,)).rowcount == 0:
                raise AccountError("no_such_role")
            count_revocation(db)
            record(db, Act("role.removed", name), self._clock())

    def grants(self) -> tuple[Grant, ...]:
        """Every grant, by whom it is for."""
        return tuple(_grant(row) for row in self._database.read(f"{_GRANTS} ORDER BY grantee, role, id"))

    def add_grant(self, to: str, allowance: Allowance, role: str, by: str, now: float) -> Grant:
        """Give a role on the targets of `allowance`."""
        if not _GRANTEE.fullmatch(to):
            raise AccountError("bad_grantee")
        made = Grant(secrets.token_hex(6), to, role, allowance.targets, now, by)
        with self._database.transaction() as db:
            check_role(db, role)
            values = made.id, to, role, " ".join(made.models), now, by
            db.execute("INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?)", values)
            count_revocation(db)  # who is remembered may do more now
            record(db, Act("grant.added", made.id, more={"to": to, "role": role, "models": values[3]}), now)
        return made

    def remove_grant(self, grant: str) -> Grant:
        """Take a grant back, and return it as it was."""
        with self._database.transaction() as db:
            row = db.execute(f"{_GRANTS} WHERE id = ?", (grant,)).fetchone()
            if row is None:
                raise AccountError("unknown_grant")
            db.execute("DELETE FROM grants WHERE id = ?", (grant,))
            count_revocation(db)
            record(db, Act("grant.removed", grant, more={"to": row[1], "role": row[2]}), self._clock())
        return _grant(row)

    def allowances(self, name: str, role: str, groups: Iterable[str] = ()) -> tuple[Allowance, ...]:
        """All that somebody of this name and role is allowed, in these groups."""
        if role == "peer":
            return built_in(role)
        found = [Allowance(self._permissions(role))]
        to = (name, *(f"group:{group}" for group in groups))
        # One query: somebody may be in hundreds of groups, and with SQLite this runs on the event loop.
        query = f"SELECT role, models FROM grants WHERE grantee IN ({', '.join('?' * len(to))})"
        for granted, models in self._database.read(query, *to):
            found.append(Allowance(self._permissions(granted), tuple(models.split()), granted))
        return tuple(found)

    def _permissions(self, role: str) -> frozenset[Permission]:
        """The permissions of a role.

        A role that is gone has none, so that its holders lose what it allowed and no more.
        """
        try:
            return self.permissions(role)
        except AccountError:
            return frozenset()


_GRANTS: Final = "SELECT id, grantee, role, models, created_at, created_by FROM grants"


def check_role(db: Transaction, role: str) -> None:
    """Raise `AccountError` if there is no role of this name."""
    if role not in ROLES and not db.execute("SELECT 1 FROM roles WHERE name = ?", (role,)).fetchone():
        raise AccountError("unknown_role")


def _grant(row: tuple[Any, ...]) -> Grant:
    grant, to, role, models, created_at, created_by = row
    return Grant(grant, to, role, tuple(models.split()), created_at, created_by)


def _built_in(role: str) -> frozenset[Permission]:
    if role not in ROLES:
        raise AccountError("unknown_role")
    return BUILT_IN[role]


def _built_in_roles() -> Iterable[RoleOfOwn]:
    for name in ROLES:
        yield RoleOfOwn(name, tuple(one for one in GRANTABLE if one in BUILT_IN[name]))
