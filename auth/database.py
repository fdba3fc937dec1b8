"""What accounts and sessions are kept in: a file, or a server that several servers of ours share.

Owns what a database offers to the rest of auth. Must not know what the rows mean, nor SQLite (`sqlite.py`) or
PostgreSQL (`postgresql.py`). Both take the same SQL, with `?` where a value goes.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Result(Protocol):
    """The result of a query."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchone(self) -> Any:
        """The next row; None after the last."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""


class Transaction:
    """An open transaction, in which queries are made."""

    def __init__(self, put: Callable[..., Result]) -> None:
        self._put = put
        self._to_do: list[Callable[[], None]] = []

    def execute(self, query: str, values: Sequence[object] = (), /) -> Result:
        """Make one query."""
        return self._put(query, values)

    def then(self, work: Callable[[], None]) -> None:
        """Have `work` done once the transaction is written; not if it fails."""
        self._to_do.append(work)

    def written(self) -> None:
        """Do the work that was to be done after it: for the database, which has written the transaction."""
        for work in self._to_do:
            work()


class Database(Protocol):
    """A database of the schema of `migrations.py`. Where something cannot be done it raises `AccountsUnavailable`."""

    @property
    def remote(self) -> bool:
        """Whether a query takes a while, so that it must not hold up the event loop."""

    def close(self) -> None:
        """Close the connections."""

    def read(self, query: str, *values: object) -> list[Any]:
        """The rows of a query, as they are now."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A transaction: all of it happens or nothing, and nobody else writes meanwhile."""

    def away_s(self) -> float:
        """Seconds for which the database has been out of reach; 0 while it can be reached."""

    def changes(self) -> int:
        """A number that differs from the one before if anything was revoked.

        It is cheap enough to ask for every second.
        """

    def ended(self) -> list[str] | None:
        """The sessions that any process has ended since this was asked last; None if some of them are not known."""
