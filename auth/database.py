"""The SQLite file under accounts and sessions.

Owns the two connections, the transactions, and how a file is brought to the schema of `migrations.py`. The only file
that imports sqlite3. Must not know what the rows mean.

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
from auth.migrations import STEPS, VERSIONS

Transaction = sqlite3.Connection
"""What queries inside a transaction are put to."""

_BUSY_TIMEOUT_S: Final = 5.0


class Database:
    """One file, readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        with suppress(FileExistsError):  # never open and close a database that exists: that would drop its locks
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        self._writer = _connect(path)
        try:
            _migrate(self._writer, path)
            self._reader = _connect(path)
        except BaseException:
            self._writer.close()
            raise
        self._reader.execute("PRAGMA query_only = ON")
        self._writing = Lock()
        self._reading = Lock()

    def close(self) -> None:
        """Close both connections."""
        self._reader.close()
        self._writer.close()

    def read(self, query: str, *values: object) -> list[Any]:
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
    except sqlite3.Error as problem:
        db.close()
        raise _unusable(path, problem) from problem
    return db


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the file to today's schema, one step at a time; raise `SetupError` if it is of a later one."""
    try:
        found = _version(db)
        if found < len(STEPS):
            db.execute("PRAGMA foreign_keys = OFF")  # a table that is made anew must not take others' rows with it
            while (found := _step(db)) < len(STEPS):
                pass
            db.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error as problem:
        raise _unusable(path, problem) from problem
    if found > len(STEPS):
        raise SetupError(
            f"{path} was written by a newer Tandem: its schema is version {found}, this program knows {len(STEPS)}."
            " Start the newer program, or restore a copy from before the update."
        )


def _step(db: sqlite3.Connection) -> int:
    """Take the next step, unless another process has; the version there is then."""
    db.execute("BEGIN IMMEDIATE")
    try:
        version = _version(db)
        if version < len(STEPS):
            for statement in (VERSIONS, *STEPS[version], "DELETE FROM schema_version"):
                db.execute(statement)
            version += 1
            db.execute("INSERT INTO schema_version VALUES (?)", (version,))
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
    return version


def _version(db: sqlite3.Connection) -> int:
    """How many steps the file has taken; 0 if it is empty, or of the time before steps were numbered."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'").fetchone():
        return 0
    version: int = db.execute("SELECT version FROM schema_version").fetchone()[0]
    return version


def _unusable(path: Path, problem: sqlite3.Error) -> SetupError:
    return SetupError(f"{path} cannot be used: {problem}. Restore it, or move it away to begin anew.")
