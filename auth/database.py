"""What accounts and sessions are kept in: a file, or a server that several servers of ours share.

Owns what a database offers to the rest of auth. Must not know what the rows mean, nor SQLite (`sqlite.py`) or
PostgreSQL (`postgresql.py`). Both take the same SQL, with `?` where a value goes.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Result(Protocol):
    """What a query gave."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchone(self) -> Any:
        """The next row; None after the last."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""


class Transaction(Protocol):
    """What queries inside a transaction are put to."""

    def execute(self, query: str, values: Sequence[object] = (), /) -> Result:
        """Put one query."""


class Database(Protocol):
    """A database of the schema of `migrations.py`. What cannot be done in it raises `AccountsUnavailable`."""

    @property
    def remote(self) -> bool:
        """Whether a query takes a while, so that it must not hold up the event loop."""

    def close(self) -> None:
        """Close what is open."""

    def read(self, query: str, *values: object) -> list[Any]:
        """The rows of a query, as they are now."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """All of it or none of it, and nobody else writes meanwhile."""

    def away_s(self) -> float:
        """Seconds for which it has been out of reach; 0 while it can be reached."""

    def changes(self) -> int:
        """Differs from before if anything was taken away from anybody. Cheap enough for every second."""
