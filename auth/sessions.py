"""Sessions: what lasts between a sign-in and its end.

Owns refresh tokens and the life of a session. Must not know passwords, access tokens or HTTP. Every time is an
argument, in unix seconds.

A session is a family of refresh tokens, of which one is good at a time. Only SHA-256 digests are kept: the tokens are
random, so a slow hash would add nothing. Using a token spends it; a spent token that comes again means that two parties
hold it, and since nobody can tell which is the thief, the whole session ends (RFC 9700, 4.14.2). Ending a session
deletes it, and its tokens with it.
"""

import hashlib
import secrets
from dataclasses import dataclass
from math import inf
from typing import Final

from auth.database import Database, Transaction
from auth.endings import note_end
from auth.errors import Reason, Unauthenticated

IDLE_LIFE_S: Final = 14 * 86_400.0
WHOLE_LIFE_S: Final = 90 * 86_400.0


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in that has not ended; `role` is the account's role now."""

    id: str
    account: str
    role: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class Opened:
    """A session and the refresh token that continues it, if there is one; we keep no copy of it."""

    session: Session
    refresh_token: str | None = None


PEER: Final = Session(id="@peer", account="@tandem", role="peer", expires_at=inf)
"""The session of another server that shares the accounts and the key.

Neither word is the name of an account or the id of a session, so nobody gets this by signing in.
"""


class Sessions:
    """The sessions of every account."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, session: str) -> Session | None:
        """The session of this id, unless it was ended. The caller compares `expires_at`."""
        if session == PEER.id and self._database.remote:  # a database that other servers share, as they do the key
            return PEER
        rows = self._database.read(
            "SELECT s.id, s.account, a.role, s.expires_at FROM sessions s JOIN accounts a ON a.name = s.account"
            " WHERE s.id = ? AND a.disabled = 0",
            session,
        )
        return Session(*rows[0]) if rows else None

    def rotate(self, refresh_token: str, now: float) -> Opened:
        """Spend a refresh token for the next one; raise `Unauthenticated` if it is not good."""
        with self._database.transaction() as db:
            outcome = _rotate(db, refresh_token, now)
        if isinstance(outcome, str):  # raised here, not inside: the end of a session has to be committed
            raise Unauthenticated(outcome)
        return outcome

    def revoke(self, refresh_token: str) -> None:
        """End the session of a refresh token; one that is not known changes nothing."""
        digest = _digest(refresh_token)
        with self._database.transaction() as db:
            row = db.execute("SELECT session FROM refresh_tokens WHERE digest = ?", (digest,)).fetchone()
            if row:
                _end(db, row[0])


def open_session(db: Transaction, account: str, role: str, now: float) -> Opened:
    """Begin a session for an account that exists, and clear away those that ran out."""
    session = Session(secrets.token_urlsafe(16), account, role, now + IDLE_LIFE_S)
    db.execute("DELETE FROM sessions WHERE expires_at <= ?", (now,))
    db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", (session.id, account, now, session.expires_at))
    return Opened(session, _new_refresh_token(db, session.id))


def count_revocation(db: Transaction) -> None:
    """Have every process notice that something it remembers may no longer hold."""
    db.execute("UPDATE revocations SET count = count + 1")


def _rotate(db: Transaction, refresh_token: str, now: float) -> Opened | Reason:
    digest = _digest(refresh_token)
    row = db.execute(
        "SELECT t.spent, s.id, s.account, a.role, s.created_at, s.expires_at FROM refresh_tokens t"
        " JOIN sessions s ON s.id = t.session JOIN accounts a ON a.name = s.account"
        " WHERE t.digest = ? AND a.disabled = 0",
        (digest,),
    ).fetchone()
    if row is None:
        return "bad_refresh_token"
    spent, session, account, role, created_at, expires_at = row
    if spent:
        _end(db, session)
        return "reused_refresh_token"
    if expires_at <= now:
        return "expired"
    expires_at = min(now + IDLE_LIFE_S, created_at + WHOLE_LIFE_S)
    db.execute("UPDATE refresh_tokens SET spent = 1 WHERE digest = ?", (digest,))
    db.execute("UPDATE sessions SET expires_at = ? WHERE id = ?", (expires_at, session))
    return Opened(Session(session, account, role, expires_at), _new_refresh_token(db, session))


def _new_refresh_token(db: Transaction, session: str) -> str:
    refresh_token = secrets.token_urlsafe(32)
    db.execute("INSERT INTO refresh_tokens (digest, session) VALUES (?, ?)", (_digest(refresh_token), session))
    return refresh_token


def _end(db: Transaction, session: str) -> None:
    db.execute("DELETE FROM sessions WHERE id = ?", (session,))
    note_end(db, session)


def _digest(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode(errors="replace")).digest()
