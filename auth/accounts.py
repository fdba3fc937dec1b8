"""Accounts in a database of our own: who may sign in, with which role.

Owns names, roles and password hashes, and the promise that losing an account or its password ends its sessions. Must
not know access tokens or HTTP. Every time is an argument, in unix seconds.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from auth.api_keys import ApiKeys
from auth.audit import Act, Audit, record
from auth.console_sessions import ConsoleSessions
from auth.database import Database, Transaction
from auth.errors import AccountError, SetupError
from auth.limits.limit import Limits
from auth.limits.usage import Usage
from auth.offload import Looks, at_once
from auth.passwords import check_new_password, hash_password, needs_rehash, verify_password
from auth.policy import Policy, check_role
from auth.principal import Allowance
from auth.sessions import Opened, Sessions, count_revocation, open_session
from auth.sqlite import Sqlite
from auth.store import Account, AccountChange, is_name

T = TypeVar("T")


class Accounts:
    """The accounts of one database, and their sessions."""

    def __init__(self, where: Path | str, clock: Callable[[], float] = time.time, watched: bool = False) -> None:
        self._database = open_database(where, watched)
        self._looks = Looks() if self._database.remote else None
        self.look: Final = self._looks.run if self._looks is not None else at_once
        self._clock = clock
        self.sessions: Final = Sessions(self._database)
        self.console: Final = ConsoleSessions(self._database, self._proven)
        self.keys: Final = ApiKeys(self._database, clock)
        self.policy: Final = Policy(self._database, clock)
        self.limits: Final = Limits(self._database, clock)
        self.usage: Final = Usage(self._database)
        self.audit: Final = Audit(self._database)

    def close(self) -> None:
        """Close the database."""
        if self._looks is not None:
            self._looks.close()
        self._database.close()

    def list(self) -> tuple[Account, ...]:
        """Every account, by name."""
        groups: dict[str, tuple[str, ...]] = {}
        for member, group in self._database.read("SELECT member, of_group FROM members ORDER BY member, of_group"):
            groups[member] = (*groups.get(member, ()), group)
        found = (_account(row) for row in self._database.read(f"{_ACCOUNTS} ORDER BY name"))
        return tuple(replace(account, groups=groups.get(account.name, ())) for account in found)

    def find(self, name: str) -> Account | None:
        """The account of this name."""
        rows = self._database.read(f"{_ACCOUNTS} WHERE name = ?", name)
        return replace(_account(rows[0]), groups=self.groups(name)) if rows else None

    def groups(self, name: str) -> tuple[str, ...]:
        """The groups of our own that an account was put into."""
        query = "SELECT of_group FROM members WHERE member = ? ORDER BY of_group"
        return tuple(group for (group,) in self._database.read(query, name))

    def allowances(self, name: str, role: str, groups: Iterable[str] = ()) -> tuple[Allowance, ...]:
        """All that somebody of this name and role is allowed, in these groups and in those of the account."""
        return self.policy.allowances(name, role, (*groups, *self.groups(name)))

    def add(self, name: str, role: str, password: str, now: float) -> Account:
        """Create an account."""
        _check_name(name)
        check_new_password(name, password)
        return self._add(Account(name, role, now), hash_password(password))

    def add_service(self, name: str, role: str, now: float) -> Account:
        """Create an account that has no password, for a program."""
        _check_name(name)
        return self._add(Account(name, role, now, "service"), None)

    def _add(self, account: Account, hashed: str | None) -> Account:
        with self._database.transaction() as db:
            check_role(db, account.role)
            if db.execute("SELECT 1 FROM accounts WHERE name = ?", (account.name,)).fetchone():
                raise AccountError("exists")
            insert = "INSERT INTO accounts (name, kind, role, password, created_at) VALUES (?, ?, ?, ?, ?)"
            db.execute(insert, (account.name, account.kind, account.role, hashed, account.created_at))
            about = {"kind": account.kind, "role": account.role}
            record(db, Act("account.added", account.name, more=about), account.created_at or 0.0)
        return account

    def change(self, name: str, change: AccountChange) -> Account:
        """Change an account, and return it as it is then."""
        values = change.role, None if change.disabled is None else int(change.disabled), change.about, name
        with self._database.transaction() as db:
            was_admin = _is_admin(db, name)
            if change.role is not None:
                check_role(db, change.role)
            db.execute(
                "UPDATE accounts SET role = coalesce(?, role), disabled = coalesce(?, disabled),"
                " about = coalesce(?, about) WHERE name = ?",
                values,
            )
            if was_admin and _admins(db) == 0:
                raise AccountError("last_admin")
            if change.groups is not None:
                _put_into_groups(db, name, change.groups)
            count_revocation(db)
            groups = None if change.groups is None else " ".join(change.groups)
            given = {"role": change.role, "disabled": change.disabled, "about": change.about, "groups": groups}
            about = {what: value for what, value in given.items() if value is not None}
            record(db, Act("account.changed", name, more=about), self._clock())
        found = self.find(name)
        if found is None:  # somebody else has removed it since
            raise AccountError("unknown")
        return found

    def remove(self, name: str) -> None:
        """Remove an account, and end its sessions and keys."""
        with self._database.transaction() as db:
            was_admin = _is_admin(db, name)
            db.execute("DELETE FROM accounts WHERE name = ?", (name,))
            db.execute("DELETE FROM grants WHERE grantee = ?", (name,))  # the next of the name is somebody else
            db.execute("DELETE FROM limits WHERE who = ?", (name,))
            if was_admin and _admins(db) == 0:
                raise AccountError("last_admin")
            count_revocation(db)
            record(db, Act("account.removed", name), self._clock())

    def set_password(self, name: str, password: str, but: str = "") -> None:
        """Change a password and end the account's sessions, except the one of the id `but`."""
        check_new_password(name, password)
        hashed = hash_password(password)
        with self._database.transaction() as db:
            if _find(db, name).kind == "service":
                raise AccountError("no_password")
            db.execute("UPDATE accounts SET password = ? WHERE name = ?", (hashed, name))
            _end_sessions(db, name, but)
            record(db, Act("password.set", name), self._clock())

    def end_sessions(self, name: str) -> None:
        """End the sessions of an account, of programs and browsers; its keys stay."""
        with self._database.transaction() as db:
            _find(db, name)
            _end_sessions(db, name)
            record(db, Act("sessions.ended", name), self._clock())

    def sign_in(self, name: str, password: str, now: float) -> Opened | None:
        """Begin a session if the password fits. An unknown name takes as long as a known one."""

        def begun(db: Transaction) -> Opened:
            record(db, Act("signed_in", name, who=name), now)
            return open_session(db, name, _find(db, name).role, now)

        return self._proven(name, password, begun)

    def _proven(self, name: str, password: str, then: Callable[[Transaction], T]) -> T | None:
        """What `then` gives in a transaction, if the password of the account fits."""
        stored = self._stored(name)
        if not verify_password(stored, password) or stored is None:
            return None
        kept = hash_password(password) if needs_rehash(stored) else stored
        with self._database.transaction() as db:
            # Only if it is the password still: hashing took a while, and a change has ended every session.
            unchanged = (kept, name, stored)
            if db.execute("UPDATE accounts SET password = ? WHERE name = ? AND password = ?", unchanged).rowcount == 0:
                return None
            return then(db)

    def check(self, name: str, password: str) -> Account | None:
        """The account, if the password fits, without a session. An unknown name takes as long as a known one."""
        stored = self._stored(name)
        if not verify_password(stored, password) or stored is None or self._stored(name) != stored:
            return None  # looked at twice: checking took a while, and a change of the password must count
        return self.find(name)

    def _stored(self, name: str) -> str | None:
        """The hash of an account's password, if the account may sign in."""
        rows = self._database.read("SELECT password FROM accounts WHERE name = ? AND disabled = 0", name)
        return rows[0][0] if rows else None

    def open_session(self, name: str, now: float) -> Opened:
        """Begin a session without a password: for a caller that may read the data folder."""
        with self._database.transaction() as db:
            opened = open_session(db, name, _find(db, name).role, now)
            record(db, Act("token.issued", name), now)
            return opened

    def away_s(self) -> float:
        """Seconds for which the database has been out of reach; 0 while it can be reached."""
        return self._database.away_s()

    def change_counter(self) -> int:
        """A number that differs from the one before if any process has revoked anything."""
        return self._database.changes()

    def ended_sessions(self) -> Sequence[str] | None:
        """The sessions that any process has ended since this was asked last; None if some of them are not known."""
        return self._database.ended()


def open_database(where: Path | str, watched: bool = False) -> Database:
    """The database in a file, or at an address; raise `SetupError` if it cannot be used.

    A server opens it `watched`: it may be out of reach when it is opened, and a thread notices changes.
    """
    if isinstance(where, Path):
        return Sqlite(where)
    try:
        from auth.postgresql import Postgresql  # nobody else has to have its library
    except ImportError as problem:
        raise SetupError(
            f"Accounts in PostgreSQL need its library: apt-get install libpq5, as root ({problem})."
        ) from problem
    return Postgresql(where, watched)


_ACCOUNTS: Final = "SELECT name, role, created_at, kind, disabled, about FROM accounts"


def _account(row: tuple[Any, ...]) -> Account:
    name, role, created_at, kind, disabled, about = row
    return Account(name, role, created_at, kind, bool(disabled), about)


def _end_sessions(db: Transaction, name: str, but: str = "") -> None:
    for table in ("sessions", "console_sessions"):
        db.execute(f"DELETE FROM {table} WHERE account = ? AND id <> ?", (name, but))
    count_revocation(db)


def _put_into_groups(db: Transaction, name: str, groups: Iterable[str]) -> None:
    """Put an account into these groups, and take it out of all others."""
    if not all(is_name(group) for group in groups):
        raise AccountError("bad_group")
    db.execute("DELETE FROM members WHERE member = ?", (name,))
    for group in sorted(set(groups)):
        db.execute("INSERT INTO members (of_group, member) VALUES (?, ?)", (group, name))


def _check_name(name: str) -> None:
    if not is_name(name):
        raise AccountError("bad_name")


def _find(db: Transaction, name: str) -> Account:
    row = db.execute(f"{_ACCOUNTS} WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise AccountError("unknown")
    return _account(row)


def _is_admin(db: Transaction, name: str) -> bool:
    account = _find(db, name)
    return account.role == "admin" and account.kind == "person" and not account.disabled


def _admins(db: Transaction) -> int:
    """How many accounts could still manage accounts after signing in."""
    query = "SELECT count(*) FROM accounts WHERE role = 'admin' AND kind = 'person' AND disabled = 0"
    count: int = db.execute(query).fetchone()[0]
    return count
