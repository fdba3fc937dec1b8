"""The SQLite file under accounts and sessions.

Owns the two connections, the transactions, and how a file is brought to the schema of `migrations.py`. The only file
that imports sqlite3. Must not know what the rows mean. A file that cannot be read or written says so at once, and
nobody is let in by what was known before: it is on this machine, so what is wrong with it does not pass by itself.

There are two connections because in WAL mode a reader never waits for a writer: a look-up on the event loop is not held
up by a write in a thread. Open it after forking: SQLite connections do not survive a fork.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final

from auth.database import Transaction
from auth.endings import LAST, SINCE, Endings
from auth.errors import AccountError, AccountsUnavailable, SetupError
from auth.migrations import STEPS, VERSIONS, check_version, statements

_BUSY_TIMEOUT_S: Final = 5.0

log = logging.getLogger(__name__)


class Sqlite:
    """A database in one file, readable by its owner alone."""

    remote: Final = False

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
        self._endings = Endings(self.read(LAST)[0][0])

    def close(self) -> None:
        """Close both connections."""
        self._reader.close()
        self._writer.close()

    def read(self, query: str, *values: object) -> list[Any]:
        """The rows of a query, as they are now."""
        with self._reading, _failures():
            return self._reader.execute(query, values).fetchall()

    def away_s(self) -> float:
        """Always 0: a file is there, or what is asked of it fails."""
        return 0.0

    def changes(self) -> int:
        """A number that differs from the one before if any process has revoked anything.

        Not `PRAGMA data_version`: that moves with every sign-in, and would empty a busy server's caches for nothing.
        """
        count: int = self.read("SELECT count FROM revocations")[0][0]
        return count

    def ended(self) -> list[str] | None:
        """The sessions that any process has ended since this was asked last; None if some of them are not known."""
        self._endings.hear(self.read(SINCE, self._endings.last))
        return self._endings.take()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction: all of it happens or nothing, and nobody else writes meanwhile."""
        with self._writing, _failures():
            self._writer.execute("BEGIN IMMEDIATE")  # a write lock taken later can fail half-way
            transaction = Transaction(self._writer.execute)
            try:
                yield transaction
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
        transaction.written()


@contextmanager
def _failures() -> Iterator[None]:
    """Turn what keeps a file from being read or written, as a full disk does, into `AccountsUnavailable`."""
    try:
        yield
    except UnicodeEncodeError as problem:  # JSON can spell half of a character
        raise AccountError("bad_text") from problem
    except sqlite3.OperationalError as problem:
        log.error("the file of accounts cannot be used", extra={"reason": str(problem)})
        raise AccountsUnavailable(str(problem)) from problem


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
    """Bring the file to today's schema, one step at a time; raise `SetupError` if its schema is a later one."""
    try:
        found = _version(db)
        if found < len(STEPS):
            db.execute("PRAGMA foreign_keys = OFF")  # a table that is made anew must not take others' rows with it
            while (found := _step(db)) < len(STEPS):
                pass
            db.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error as problem:
        raise _unusable(path, problem) from problem
    check_version(found, len(STEPS), str(path))


def _step(db: sqlite3.Connection) -> int:
    """Take the next step, unless another process has; the version that is reached."""
    db.execute("BEGIN IMMEDIATE")
    try:
        version = _version(db)
        if version < len(STEPS):
            for statement in (*statements((VERSIONS, *STEPS[version]), "sqlite"), "DELETE FROM schema_version"):
                db.execute(statement)
            version += 1
            db.execute("INSERT INTO schema_version VALUES (?)", (version,))
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
    return version


def _version(db: sqlite3.Connection) -> int:
    """How many steps the file has taken; 0 if it is empty, or from before steps were numbered."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'").fetchone():
        return 0
    version: int = db.execute("SELECT version FROM schema_version").fetchone()[0]
    return version


def _unusable(path: Path, problem: sqlite3.Error) -> SetupError:
    return SetupError(f"{path} cannot be used: {problem}. Restore it, or move it away to begin anew.")
