"""Accounts in a database of our own: who may sign in, with which role.

Owns names, roles and password hashes, and the promise that losing an account or its password ends its sessions. Must
not know access tokens or HTTP. Every time is an argument, in unix seconds.
"""

from pathlib import Path
from typing import Any, Final

from auth.console_sessions import ConsoleSessions
from auth.database import Database, Transaction
from auth.errors import AccountError
from auth.passwords import hash_password, needs_rehash, verify_password
from auth.principal import Allowance, built_in
from auth.sessions import Opened, Sessions, count_revocation, open_session
from auth.store import Account, is_name


class Accounts:
    """The accounts of one database, and their sessions."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self.sessions: Final = Sessions(self._database)
        self.console: Final = ConsoleSessions(self._database)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def list(self) -> tuple[Account, ...]:
        """Every account, by name."""
        return tuple(_account(row) for row in self._database.read(f"{_ACCOUNTS} ORDER BY name"))

    def find(self, name: str) -> Account | None:
        """The account of this name."""
        rows = self._database.read(f"{_ACCOUNTS} WHERE name = ?", name)
        return _account(rows[0]) if rows else None

    def allowances(self, name: str, role: str) -> tuple[Allowance, ...]:
        """What an account of this name and role is allowed."""
        return built_in(role)

    def add(self, name: str, role: str, password: str, now: float) -> Account:
        """Create an account."""
        if not is_name(name):
            raise AccountError("bad_name")
        hashed = hash_password(password)
        with self._database.transaction() as db:
            if db.execute("SELECT 1 FROM accounts WHERE name = ?", (name,)).fetchone():
                raise AccountError("exists")
            insert = "INSERT INTO accounts (name, role, password, created_at) VALUES (?, ?, ?, ?)"
            db.execute(insert, (name, role, hashed, now))
        return Account(name, role, now)

    def remove(self, name: str) -> None:
        """Remove an account and end its sessions."""
        with self._database.transaction() as db:
            if _role(db, name) == "admin" and _admins(db) == 1:
                raise AccountError("last_admin")
            db.execute("DELETE FROM accounts WHERE name = ?", (name,))
            count_revocation(db)

    def set_password(self, name: str, password: str) -> None:
        """Change a password and end the account's sessions."""
        hashed = hash_password(password)
        with self._database.transaction() as db:
            _role(db, name)
            db.execute("UPDATE accounts SET password = ? WHERE name = ?", (hashed, name))
            db.execute("DELETE FROM sessions WHERE account = ?", (name,))
            db.execute("DELETE FROM console_sessions WHERE account = ?", (name,))
            count_revocation(db)

    def sign_in(self, name: str, password: str, now: float) -> Opened | None:
        """Begin a session if the password fits. Takes as long for a name that is not known."""
        rows = self._database.read("SELECT password FROM accounts WHERE name = ?", name)
        stored: str | None = rows[0][0] if rows else None
        if not verify_password(stored, password) or stored is None:
            return None
        kept = hash_password(password) if needs_rehash(stored) else stored
        with self._database.transaction() as db:
            # Only if it is the password still: hashing took a while, and a change has ended every session.
            unchanged = (kept, name, stored)
            if db.execute("UPDATE accounts SET password = ? WHERE name = ? AND password = ?", unchanged).rowcount == 0:
                return None
            return open_session(db, name, _role(db, name), now)

    def open_session(self, name: str, now: float) -> Opened:
        """Begin a session without a password, for whoever may read the data folder."""
        with self._database.transaction() as db:
            return open_session(db, name, _role(db, name), now)

    def change_counter(self) -> int:
        """Differs from before if any process has revoked anything. One row, so cheap enough for every second.

        Not `PRAGMA data_version`: that moves with every sign-in, and would empty a busy server's caches for nothing.
        """
        count: int = self._database.read("SELECT count FROM revocations")[0][0]
        return count


_ACCOUNTS: Final = "SELECT name, role, created_at, kind, disabled, about FROM accounts"


def _account(row: tuple[Any, ...]) -> Account:
    name, role, created_at, kind, disabled, about = row
    return Account(name, role, created_at, kind, bool(disabled), about)


def _role(db: Transaction, name: str) -> str:
    row = db.execute("SELECT role FROM accounts WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise AccountError("unknown")
    role: str = row[0]
    return role


def _admins(db: Transaction) -> int:
    count: int = db.execute("SELECT count(*) FROM accounts WHERE role = 'admin'").fetchone()[0]
    return count
