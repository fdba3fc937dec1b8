"""Who is signed in to the console: what a cookie stands for.

Owns the life of such a session. Must not know cookies or HTTP. Every time is an argument, in unix seconds.

The cookie holds random bytes, and the database their SHA-256 alone. A session of an account has the role that the
account has now, and ends with its password; one of a provider's has the roles that the provider said at the sign-in.
It lasts for some hours, used or not, and is then begun anew: nothing is written when it is used.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from auth.audit import Act, record
from auth.database import Database
from auth.sessions import count_revocation

LIFE_S: Final = 8 * 3600.0


@dataclass(frozen=True, slots=True)
class ConsoleSession:
    """A session that has not ended. `provider` is None for an account of our own."""

    id: str
    name: str
    provider: str | None
    roles: tuple[str, ...]
    expires_at: float


class ConsoleSessions:
    """The console's sessions in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open_for_account(self, account: str, now: float) -> str:
        """Begin a session of an account that exists; the cookie's value."""
        return self._open(account, account, None, (), now)

    def open_for_provider(self, name: str, provider: str, roles: tuple[str, ...], now: float) -> str:
        """Begin a session of somebody whom a provider vouches for; the cookie's value."""
        return self._open(name, None, provider, roles, now)

    def find(self, secret: str, now: float) -> ConsoleSession | None:
        """The session of a cookie, unless it is over or was ended, or its account is disabled."""
        digest = _digest(secret)
        rows = self._database.read(
            "SELECT c.name, c.provider, c.roles, c.expires_at, a.role FROM console_sessions c"
            " LEFT JOIN accounts a ON a.name = c.account"
            " WHERE c.digest = ? AND c.expires_at > ? AND (c.account IS NULL OR a.disabled = 0)",
            digest,
            now,
        )
        if not rows:
            return None
        name, provider, roles, expires_at, role = rows[0]
        return ConsoleSession(digest.hex()[:16], name, provider, (role,) if role else tuple(roles.split()), expires_at)

    def end(self, secret: str) -> None:
        """End the session of a cookie; one that is not known changes nothing."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM console_sessions WHERE digest = ?", (_digest(secret),))
            count_revocation(db)

    def _open(self, name: str, account: str | None, provider: str | None, roles: tuple[str, ...], now: float) -> str:
        secret = secrets.token_urlsafe(32)
        row = _digest(secret), name, account, provider, " ".join(roles), now + LIFE_S
        with self._database.transaction() as db:
            db.execute("DELETE FROM console_sessions WHERE expires_at <= ?", (now,))
            db.execute(
                "INSERT INTO console_sessions (digest, name, account, provider, roles, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
            record(db, Act("signed_in", name, more={"provider": provider} if provider else {}, who=name), now)
        return secret


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).digest()
