"""The SQLite file under accounts and sessions.

Owns the schema, the two connections and the transactions. The only file that imports sqlite3. Must not know what the
rows mean.

There are two connections because in WAL mode a reader never waits for a writer: a look-up on the event loop is not held
up by a write in a thread. Open it after forking: SQLite connections do not survive a fork.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final

from auth.errors import SetupError

Transaction = sqlite3.Connection
"""What queries inside a transaction are put to."""

_BUSY_TIMEOUT_S: Final = 5.0

_SCHEMA: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS accounts (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('scorer', 'analyst', 'admin')),
    password TEXT NOT NULL,
    created_at REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS sessions_by_account ON sessions (account);
CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires_at);
CREATE TABLE IF NOT EXISTS refresh_tokens (
    digest BLOB PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    spent INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS refresh_tokens_by_session ON refresh_tokens (session);
CREATE TABLE IF NOT EXISTS revocations (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO revocations VALUES (1, 0);
COMMIT;
"""


class Database:
    """One file, readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        with suppress(FileExistsError):  # never open and close a database that exists: that would drop its locks
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        self._writer = _connect(path)
        self._reader = _connect(path)
        self._reader.execute("PRAGMA query_only = ON")
        self._writing = Lock()
        self._reading = Lock()

    def close(self) -> None:
        """Close both connections."""
        self._reader.close()
        self._writer.close()

    def read(self, query: str, *values: str) -> list[Any]:
        """The rows of a query, as they are now."""
        with self._reading:
            return self._reader.execute(query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """All of it or none of it, and nobody else writes meanwhile."""
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")  # a write lock taken later can fail half-way
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # a revocation must survive a power cut
        db.execute("PRAGMA foreign_keys = ON")
        db.executescript(_SCHEMA)
    except sqlite3.Error as problem:
        db.close()
        raise SetupError(f"{path} cannot be used: {problem}. Restore it, or move it away to begin anew.") from problem
    return db
