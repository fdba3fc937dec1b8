"""PostgreSQL under accounts and sessions, for servers that share them.

Owns the connections, the transactions, how a database is brought to the schema of `migrations.py`, and what is done
while it is out of reach. With `postgresql_address.py` the only file that imports psycopg. Must not know what the rows
mean.

There are two connections, as with SQLite, and where a server is run a third: a thread waits on it for word of changes,
looks each second all the same, and knows from that whether the database can be reached. While it cannot, queries fail
at once, but what was known stays known for five minutes: in that time a copy has taken the place of a server that died.

One transaction writes at a time, whichever server it is of: a lock of the database sees to it. So what was looked at
inside one holds until its end, as in SQLite; that there is an admin left, and the end of the audit's chain.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import lru_cache, partial
from threading import Event, Lock, Thread
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo

from auth.database import Result, Transaction
from auth.endings import LAST, SINCE, Endings
from auth.errors import AccountError, AccountsUnavailable, SetupError
from auth.migrations import STEPS, VERSIONS, check_version, statements
from auth.postgresql_address import Address

T = TypeVar("T")

KNOWN_FOR_S: Final = 300.0
"""Seconds for which known callers stay known while the database is out of reach."""
LOOK_EVERY_S: Final = 1.0
PATIENCE_S: Final = 3.0
"""Seconds for which an answer is waited for. A database that was stopped still takes connections, and says nothing."""
_SESSION: Final = "SET statement_timeout = 2500; SET idle_in_transaction_session_timeout = 10000"
"""Settings of a connection: the database gives up a little before we do, so that the connection can be used again."""
_MIGRATION_S: Final = 120.0
_LOCK: Final = 0x74616E64656D  # "tandem"
_BEGIN: Final = f"BEGIN; SELECT pg_advisory_xact_lock({_LOCK})"
_COUNT: Final = f"SELECT count, ({LAST}) FROM revocations"
_HAS_VERSION: Final = "SELECT 1 FROM pg_class WHERE relname = 'schema_version' AND pg_table_is_visible(oid)"

log = logging.getLogger(__name__)


class _Connection(psycopg.Connection[Any]):
    """A connection that waits for an answer only so long."""

    patience_s = PATIENCE_S
    gave_up = False

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for what comes next from the database."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        began = time.monotonic()
        try:
            return super().wait(gen, interval, self.patience_s)
        except psycopg.OperationalError:
            if time.monotonic() - began >= self.patience_s:
                self.gave_up = True
                self.pgconn.finish()  # the answer may come yet, and would be taken for that to the next question
            raise


class Postgresql:
    """One database, shared by all servers that have its address."""

    remote: Final = True

    def __init__(self, setting: str, watched: bool = False) -> None:
        self._address = Address(setting)
        self._reader: _Connection | None = None
        self._writer: _Connection | None = None
        self._reading = Lock()
        self._writing = Lock()
        self._brought_up = False
        self._watched = watched
        self._away = ""
        self._lost = False
        self._count = -1
        self._endings = Endings()
        self._opened_at = time.monotonic()
        self._looked_at = -KNOWN_FOR_S
        self._closed = Event()
        if watched:
            Thread(target=self._watch, name="auth-changes", daemon=True).start()
        else:
            self._reader = self._connect()
            self._endings = Endings(self.read(LAST)[0][0])

    def close(self) -> None:
        """Close the connections, and end the thread that watches."""
        self._closed.set()
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()

    def read(self, query: str, *values: object) -> list[Any]:
        """The rows of a query, as they are now."""
        with self._reading, self._failures():
            self._reader = self._ready(self._reader)
            try:
                return _put(self._reader, query, values).fetchall()
            except psycopg.OperationalError:
                if not _died(self._reader):
                    raise
            self._reader = self._anew()  # the server was started anew since the last question
            return _put(self._reader, query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction: all of it happens or nothing, and nobody writes meanwhile, at any server."""
        with self._writing, self._failures():
            connection = self._begin()
            transaction = Transaction(partial(_put, connection))
            try:
                yield transaction
                news = self._news(connection)
                connection.execute("COMMIT")
                self._hear(*news)  # whoever made the change need not wait to be told of it
            except BaseException:
                with suppress(psycopg.Error):
                    connection.execute("ROLLBACK")
                raise
        transaction.written()

    def away_s(self) -> float:
        """Seconds for which the database has been out of reach, as far as the watcher knows."""
        return time.monotonic() - max(self._looked_at, self._opened_at) if self._away else 0.0

    def changes(self) -> int:
        """A number that differs from the one before if the watcher has heard that any process has revoked anything."""
        if not self._watched:
            return int(self.read(_COUNT)[0][0])
        if time.monotonic() - self._looked_at > KNOWN_FOR_S:
            raise AccountsUnavailable(self._away or f"{self._address} was not reached yet")
        return self._count

    def ended(self) -> list[str] | None:
        """The sessions that any process has ended since this was asked last, as far as the watcher knows."""
        if not self._watched:
            self._endings.hear(self.read(SINCE, self._endings.last))
        return self._endings.take()

    def _news(self, connection: _Connection) -> tuple[int, list[Any]]:
        """How often something was taken away from somebody, and which sessions were ended since this was known."""
        count, last = _put(connection, _COUNT).fetchone()
        known = self._endings.last
        return count, _put(connection, SINCE, (known,)).fetchall() if last > known else []

    def _hear(self, count: int, ended: list[Any]) -> None:
        self._count = count
        self._endings.hear(ended)

    def _begin(self) -> _Connection:
        self._writer = self._ready(self._writer)
        try:
            self._writer.execute(_BEGIN)
        except psycopg.OperationalError:
            if not _died(self._writer):
                raise
            self._writer = self._anew()
            self._writer.execute(_BEGIN)
        return self._writer

    def _ready(self, connection: _Connection | None) -> _Connection:
        return self._anew() if connection is None or connection.closed else connection

    def _anew(self) -> _Connection:
        """A new connection, where one broke in the middle of something."""
        try:
            return self._connect()
        except SetupError as problem:
            raise AccountsUnavailable(str(problem)) from problem

    def _connect(self) -> _Connection:
        """A new connection to a database of today's schema; raise `SetupError` if there can be none."""
        if self._closed.is_set():
            raise SetupError(f"{self._address} was closed")
        try:
            where = make_conninfo("", **self._address.parameters())
            connection = _Connection.connect(where, autocommit=True, prepare_threshold=None)
            try:
                connection.execute(_SESSION)
                self._bring_up(connection)
            except BaseException:
                connection.close()
                raise
        except psycopg.Error as problem:
            self._away = self._said(problem)
            raise SetupError(self._away) from problem
        return connection

    def _bring_up(self, connection: _Connection) -> None:
        """Bring the database to today's schema, once in a process; raise `SetupError` if its schema is a later one."""
        if self._brought_up:
            return
        found = _version(connection)
        if found < len(STEPS):
            connection.patience_s = _MIGRATION_S
            found = _migrate(connection)
            connection.patience_s = PATIENCE_S
        check_version(found, len(STEPS), str(self._address))
        self._brought_up = True

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn whatever keeps the database from doing its work into `AccountsUnavailable`."""
        if self._away and self._watched:
            raise AccountsUnavailable(self._away)
        try:
            yield
        except UnicodeEncodeError as problem:  # JSON can spell half of a character
            raise AccountError("bad_text") from problem
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as problem:
            said = self._said(problem)
            log.error("the database of accounts did not do what it was told", extra={"reason": said})
            if isinstance(problem, psycopg.errors.ReadOnlySqlTransaction) and self._writer is not None:
                self._writer.close()  # another one can be written by now
            if any(one is not None and one.closed for one in (self._reader, self._writer)):
                self._away = said  # until the watcher has looked
            raise AccountsUnavailable(said) from problem

    def _watch(self) -> None:
        """Look each second, and whenever the database reports a change, until closed."""
        while not self._closed.is_set():
            try:
                with closing(self._connect()) as connection:
                    connection.execute("LISTEN tandem_changes")
                    while not self._closed.is_set():
                        self._look(connection)
                        for _ in connection.notifies(timeout=LOOK_EVERY_S, stop_after=1):
                            pass
            except Exception as problem:  # whatever it is: the next look is another try
                self._lose(problem)

    def _look(self, connection: _Connection) -> None:
        began = time.monotonic()
        self._hear(*self._news(connection))
        self._looked_at = began
        if self._lost:
            log.info("the database of accounts can be reached again")
        self._away, self._lost = "", False

    def _lose(self, problem: Exception) -> None:
        if self._closed.is_set():
            return
        said = str(problem) if isinstance(problem, SetupError) else self._said(problem)
        if not self._lost:
            log.error("the database of accounts cannot be reached", extra={"reason": said})
        self._away, self._lost = said, True
        self._closed.wait(LOOK_EVERY_S)

    def _said(self, problem: Exception) -> str:
        return f"{self._address} cannot be used: {' '.join(str(problem).split())}"


def _migrate(connection: _Connection) -> int:
    """Take all steps that are left, unless another server has; the version that is reached."""
    connection.execute("BEGIN; SET LOCAL statement_timeout = 0")
    connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
    version = _version(connection)
    for step in STEPS[version:]:
        for statement in statements((VERSIONS, *step), "postgresql"):
            connection.execute(statement.encode())
        version += 1
    connection.execute("DELETE FROM schema_version")
    _put(connection, "INSERT INTO schema_version VALUES (?)", (version,))
    connection.execute("COMMIT")
    return version


def _version(connection: _Connection) -> int:
    # Not by to_regclass, which may remember from before a lock was waited for that there was none.
    if not _put(connection, _HAS_VERSION).fetchall():
        return 0
    version: int = _put(connection, "SELECT version FROM schema_version").fetchone()[0]
    return version


def _died(connection: _Connection) -> bool:
    """Whether a connection had ended before it was used. An answer that did not come is another matter."""
    return connection.closed and not connection.gave_up


def _put(connection: _Connection, query: str, values: Sequence[object] = ()) -> Result:
    """Make a query. A text of PostgreSQL has no NUL, so a query for a text with one finds nothing."""
    if not values:
        return connection.execute(query.encode())
    return connection.execute(_with_percent(query), [_without_nul(value) for value in values])


def _without_nul(value: object) -> object:
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


@lru_cache(500)
def _with_percent(query: str) -> bytes:
    return query.replace("%", "%%").replace("?", "%s").encode()
