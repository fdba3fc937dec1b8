"""Who is signed in to the console: what a cookie stands for.

Owns the life of such a session. Must not know cookies or HTTP. Every time is an argument, in unix seconds.

The cookie holds random bytes, and the database their SHA-256 alone. A session of an account has the role that the
account has now, and ends with its password; one of a provider's has the roles that the provider said at the sign-in.
It lasts for some hours, used or not, and is then begun anew: nothing is written when it is used.
"""

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from auth.audit import Act, record
from auth.database import Database, Transaction
from auth.endings import note_end

LIFE_S: Final = 8 * 3600.0


@dataclass(frozen=True, slots=True)
class ConsoleSession:
    """A session that has not ended. `provider` is None for an account of our own.

    `signed_in_at` is when its person last proved who they are: at the sign-in, or by confirming it.
    """

    id: str
    name: str
    provider: str | None
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    signed_in_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Vouched:
    """Somebody who has signed in with an identity provider. `signed_in_at` is when they did so there."""

    name: str
    provider: str
    roles: tuple[str, ...]
    groups: tuple[str, ...] = ()
    signed_in_at: float = 0.0


class ConsoleStore(Protocol):
    """The console's sessions, wherever they are kept. A secret is what the cookie holds."""

    def sign_in(self, name: str, password: str, now: float) -> str | None:
        """Begin a session of an account if the password fits; the cookie's value."""

    def open_for_provider(self, person: Vouched, now: float) -> str:
        """Begin a session of somebody whom a provider vouches for; the cookie's value."""

    def find(self, secret: str, now: float) -> ConsoleSession | None:
        """The session of a cookie, unless it is over or was ended, or its account is disabled."""

    def groups_of(self, session: str) -> tuple[str, ...] | None:
        """The groups that a provider said its person is in, by the id that may be shown; None if it was ended."""

    def confirm(self, secret: str, name: str, password: str, now: float) -> str | None:
        """Note that the person of a session has shown the password again; the cookie's value from then on."""

    def end(self, secret: str) -> None:
        """End the session of a cookie; one that is not known changes nothing."""


Proven = Callable[[str, str, Callable[[Transaction], str]], str | None]
"""A function that does something in a transaction, if the password fits the name."""


class ConsoleSessions:
    """The console's sessions in a database."""

    def __init__(self, database: Database, proven: Proven) -> None:
        self._database = database
        self._proven = proven

    def sign_in(self, name: str, password: str, now: float) -> str | None:
        """Begin a session of an account if the password fits; the cookie's value."""
        return self._proven(name, password, lambda db: _open(db, Vouched(name, "", (), (), now), name, now))

    def open_for_provider(self, person: Vouched, now: float) -> str:
        """Begin a session of somebody whom a provider vouches for; the cookie's value."""
        with self._database.transaction() as db:
            return _open(db, person, None, now)

    def find(self, secret: str, now: float) -> ConsoleSession | None:
        """The session of a cookie, unless it is over or was ended, or its account is disabled."""
        rows = self._database.read(
            "SELECT c.id, c.name, c.provider, c.roles, c.groups, c.signed_in_at, c.expires_at, a.role"
            " FROM console_sessions c"
            " LEFT JOIN accounts a ON a.name = c.account"
            " WHERE c.digest = ? AND c.expires_at > ? AND (c.account IS NULL OR a.disabled = 0)",
            digest_of(secret),
            now,
        )
        return _session(rows[0]) if rows else None

    def groups_of(self, session: str) -> tuple[str, ...] | None:
        """The groups that a provider said its person is in, by the id that may be shown; None if it was ended."""
        rows = self._database.read("SELECT groups FROM console_sessions WHERE id = ?", session)
        return tuple(json.loads(rows[0][0])) if rows else None

    def confirm(self, secret: str, name: str, password: str, now: float) -> str | None:
        """Note that the person of a session has shown the password again; the cookie's value from then on."""

        def confirmed(db: Transaction) -> str:
            noting = "UPDATE console_sessions SET signed_in_at = ? WHERE digest = ? AND account = ?"
            db.execute(noting, (now, digest_of(secret), name))
            record(db, Act("confirmed", name, who=name), now)
            return secret

        return self._proven(name, password, confirmed)

    def end(self, secret: str) -> None:
        """End the session of a cookie; one that is not known changes nothing."""
        with self._database.transaction() as db:
            deleting = "DELETE FROM console_sessions WHERE digest = ? RETURNING id"
            for (session,) in db.execute(deleting, (digest_of(secret),)).fetchall():
                note_end(db, session)


def digest_of(secret: str) -> bytes:
    """What is kept of a cookie's value."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def _open(db: Transaction, person: Vouched, account: str | None, now: float) -> str:
    secret = secrets.token_urlsafe(32)
    said = " ".join(person.roles), json.dumps(person.groups)
    times = person.signed_in_at, now + LIFE_S
    row = digest_of(secret), secrets.token_hex(8), person.name, account, person.provider or None, *said, *times
    db.execute("DELETE FROM console_sessions WHERE expires_at <= ?", (now,))
    db.execute(
        "INSERT INTO console_sessions (digest, id, name, account, provider, roles, groups, signed_in_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row,
    )
    about = {"provider": person.provider} if person.provider else {}
    record(db, Act("signed_in", person.name, more=about, who=person.name), now)
    return secret


def _session(row: tuple[Any, ...]) -> ConsoleSession:
    named, name, provider, roles, groups, signed_in_at, expires_at, role = row
    has = (role,) if role else tuple(roles.split())
    return ConsoleSession(named, name, provider, has, tuple(json.loads(groups)), signed_in_at, expires_at)
