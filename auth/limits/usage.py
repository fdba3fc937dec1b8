"""What was let through, by process, principal, model and day, as the database keeps it.

Owns these rows: how a process adds to its own, hears of the others', and what they sum up to. Must not know limits.
Days are of UTC and written as `2026-11-30`.

A transaction that adds gives all that it writes the next tick. It holds the row with the last tick until it ends, so
who has read up to a tick misses none before it, and no clock has to agree with another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple, NoReturn, Protocol

from auth.database import Database
from auth.errors import AccountError

KEPT_DAYS: Final = 400


class Counted(NamedTuple):
    """How many requests and rows were let through, and how many requests were refused for a limit."""

    requests: int
    rows: int
    refused: int

    def plus(self, other: "Counted | None") -> "Counted":
        """The sum of both."""
        return self if other is None else Counted(*map(sum, zip(self, other, strict=True)))


class Key(NamedTuple):
    """A principal, and the model that it asks."""

    principal: str
    model: str


class Line(NamedTuple):
    """What another process has let through on a day so far."""

    process: str
    key: Key
    day: str
    requests: int
    rows: int


class DaySum(NamedTuple):
    """What all processes together have let through on a day."""

    model: str
    day: str
    requests: int
    rows: int


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What a principal has asked a model for on a day, at all processes together."""

    day: str
    principal: str
    model: str
    requests: int
    rows: int
    refused: int


@dataclass(frozen=True, slots=True)
class WantedUsage:
    """Which rows are wanted: of somebody, of a model, from a day to a day, both included.

    `after` names a row; rows come in order.
    """

    who: str | None = None
    model: str | None = None
    since: date | None = None
    until: date | None = None
    after: tuple[str, str, str] | None = None
    """Day, principal and model of the row before the first that is wanted."""


class UsageStore(Protocol):
    """Where it is kept what was let through."""

    def add(self, process: str, day: str, counts: Mapping[Key, Counted]) -> None:
        """Add what a process has counted."""

    def lines(self, process: str, day: str, tick: int) -> tuple[int, Sequence[Line]]:
        """What the other processes have written after a tick on this day or later; and the tick to ask with next."""

    def sums(self, principal: str, since: str) -> Sequence[DaySum]:
        """What a principal has used of each model on each day from `since` on."""

    def rows(self, wanted: WantedUsage, limit: int) -> Sequence[UsageRow]:
        """The rows, by day, principal and model and at most so many; raise `AccountError` where nothing is counted."""

    def forget(self, today: date) -> None:
        """Delete what is too old to be asked for."""


class NoUsage:
    """The use of a file of accounts, where nothing is counted."""

    def add(self, process: str, day: str, counts: Mapping[Key, Counted]) -> None:
        """Do nothing: where accounts are kept in a file, nothing is counted."""

    def lines(self, process: str, day: str, tick: int) -> tuple[int, Sequence[Line]]:
        """No line: where accounts are kept in a file, nothing is counted."""
        return tick, ()

    def sums(self, principal: str, since: str) -> Sequence[DaySum]:
        """No sum: where accounts are kept in a file, nothing is counted."""
        return ()

    def rows(self, wanted: WantedUsage, limit: int) -> NoReturn:
        """Refuse: where accounts are kept in a file, nothing is counted."""
        raise AccountError("in_file")

    def forget(self, today: date) -> None:
        """Do nothing: where accounts are kept in a file, nothing is counted."""


class Usage:
    """What was let through, as a database keeps it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, process: str, day: str, counts: Mapping[Key, Counted]) -> None:
        """Add what a process has counted."""
        with self._database.transaction() as db:
            db.execute("UPDATE usage_ticks SET tick = tick + 1")
            tick = db.execute("SELECT tick FROM usage_ticks").fetchone()[0]
            for key, counted in counts.items():
                db.execute(_ADD, (key.principal, day, key.model, process, *counted, tick))

    def lines(self, process: str, day: str, tick: int) -> tuple[int, Sequence[Line]]:
        """What the other processes have written after a tick on this day or later; and the tick to ask with next."""
        rows = self._database.read(
            "SELECT process, principal, model, day, requests, rows, tick FROM usage"
            " WHERE tick > ? AND day >= ? AND process <> ?",
            *(tick, day, process),
        )
        found = [Line(row[0], Key(row[1], row[2]), *row[3:6]) for row in rows]
        return max((row[6] for row in rows), default=tick), found

    def sums(self, principal: str, since: str) -> Sequence[DaySum]:
        """What a principal has used of each model on each day from `since` on."""
        rows = self._database.read(
            "SELECT model, day, SUM(requests), SUM(rows) FROM usage WHERE principal = ? AND day >= ?"
            " GROUP BY model, day",
            *(principal, since),
        )
        return [DaySum(model, day, int(requests), int(counted)) for model, day, requests, counted in rows]

    def rows(self, wanted: WantedUsage, limit: int) -> Sequence[UsageRow]:
        """The rows, by day, principal and model and at most so many."""
        conditions: dict[str, tuple[Any, ...] | None] = {
            "principal = ?": _one(wanted.who),
            "model = ?": _one(wanted.model),
            "day >= ?": _one(wanted.since and wanted.since.isoformat()),
            "day <= ?": _one(wanted.until and wanted.until.isoformat()),
            "(day, principal, model) > (?, ?, ?)": wanted.after,
        }
        used = {condition: values for condition, values in conditions.items() if values is not None}
        where = f" WHERE {' AND '.join(used)}" if used else ""
        rows = self._database.read(
            f"SELECT day, principal, model, SUM(requests), SUM(rows), SUM(refused) FROM usage{where}"
            " GROUP BY day, principal, model ORDER BY day, principal, model LIMIT ?",
            *(value for values in used.values() for value in values),
            limit,
        )
        return [UsageRow(*row[:3], *map(int, row[3:])) for row in rows]

    def forget(self, today: date) -> None:
        """Delete what is too old to be asked for."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM usage WHERE day < ?", ((today - timedelta(KEPT_DAYS)).isoformat(),))


_ADD: Final = (
    "INSERT INTO usage (principal, day, model, process, requests, rows, refused, tick) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (principal, day, model, process) DO UPDATE SET requests = usage.requests + excluded.requests,"
    " rows = usage.rows + excluded.rows, refused = usage.refused + excluded.refused, tick = excluded.tick"
)


def _one(value: Any) -> tuple[Any, ...] | None:
    return None if value is None else (value,)


def day_of(now: float) -> date:
    """The day of UTC that a time in unix seconds lies in, as a date."""
    return datetime.fromtimestamp(now, UTC).date()
