"""What a limit is, and which limits there are.

Owns the limits that an administrator has set, and what one may look like. Must not know how callers are held to them.
"""

import re
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn, Protocol, get_args

from auth.audit import Act, record
from auth.database import Database
from auth.errors import AccountError
from auth.policy import check_role
from auth.principal import fits, is_pattern

Per = Literal["second", "minute", "day", "month"]
"""The time that a limit is for. Rates are per second or minute, quotas per day or month of UTC."""
Unit = Literal["requests", "rows"]
PERS: Final[tuple[Per, ...]] = get_args(Per)
UNITS: Final[tuple[Unit, ...]] = get_args(Unit)
RATE_SECONDS: Final[dict[Per, int]] = {"second": 1, "minute": 60}
"""Seconds of the times that rates are for. A limit for any other time is a quota."""
MOST: Final = 1_000_000_000
MOST_LIMITS: Final = 1000

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WHO: Final = re.compile(r"[!-~]{1,300}")
_ROLE: Final = "role:"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit: at most `amount` of a unit in a time, for each principal of `who`, on all models that fit together.

    `who` is the name of a principal, `role:` and a role, `group:` and a group, or `*`.
    """

    id: str
    who: str
    model: str
    unit: Unit
    amount: int
    per: Per
    burst: int | None = None
    created_at: float = 0.0
    created_by: str = ""

    @property
    def is_rate(self) -> bool:
        """Whether the limit is a rate and not a quota."""
        return self.per in RATE_SECONDS

    @property
    def bucket(self) -> str:
        """The name of what the limit counts. A limit that becomes higher or lower goes on with the same count."""
        return f"{self.id}\n{self.who}\n{self.model}\n{self.unit}"

    def covers(self, model: str) -> bool:
        """Whether requests to a model count towards the limit."""
        return fits(self.model, model)

    def binds(self, name: str, roles: Container[str], groups: Container[str]) -> bool:
        """Whether the limit holds for somebody of this name, with these roles, in these groups."""
        if self.who in ("*", name):
            return True
        kind, colon, rest = self.who.partition(":")
        return bool(colon) and ((kind == "role" and rest in roles) or (kind == "group" and rest in groups))

    def in_words(self) -> str:
        """What the limit allows, as the end of a sentence."""
        return f"{self.amount:,} {self.unit if self.amount > 1 else self.unit[:-1]} a {self.per}"


class LimitStore(Protocol):
    """Where limits are kept. A change that cannot be made raises `AccountError`."""

    def list(self) -> tuple[Limit, ...]:
        """Every limit, by its id; raise `AccountError` where there can be none."""

    def in_force(self) -> tuple[Limit, ...]:
        """Every limit that callers are to be held to."""

    def put(self, limit: Limit) -> Limit:
        """Set a limit: a new one, or one that takes the place of an old one."""

    def remove(self, limit: str) -> None:
        """Remove a limit."""


class NoLimits:
    """The limits of a file of accounts, which has none."""

    def list(self) -> NoReturn:
        """Refuse: a file of accounts has no limits."""
        raise AccountError("in_file")

    def in_force(self) -> tuple[Limit, ...]:
        """No limit: a file of accounts has none."""
        return ()

    def put(self, limit: Limit) -> NoReturn:
        """Refuse: a file of accounts has no limits."""
        raise AccountError("in_file")

    def remove(self, limit: str) -> NoReturn:
        """Refuse: a file of accounts has no limits."""
        raise AccountError("in_file")


class Limits:
    """The limits in a database."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def list(self) -> tuple[Limit, ...]:
        """Every limit, by its id."""
        return self.in_force()

    def in_force(self) -> tuple[Limit, ...]:
        """Every limit, by its id."""
        return tuple(Limit(*row) for row in self._database.read(f"SELECT {_COLUMNS} FROM limits ORDER BY id"))

    def put(self, limit: Limit) -> Limit:
        """Set a limit: a new one, or one that takes the place of an old one."""
        check(limit)
        values = _values(limit)
        marks = ", ".join("?" for _ in values)
        changed = ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS.split(", ")[1:])
        upsert = f"INSERT INTO limits ({_COLUMNS}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {changed}"
        with self._database.transaction() as db:
            if limit.who.startswith(_ROLE):
                check_role(db, limit.who.removeprefix(_ROLE))
            db.execute(upsert, values)
            if db.execute("SELECT count(*) FROM limits").fetchone()[0] > MOST_LIMITS:
                raise AccountError("too_many_limits")
            about: dict[str, Any] = {"who": limit.who, "model": limit.model, limit.unit: limit.amount, "per": limit.per}
            about |= {} if limit.burst is None else {"burst": limit.burst}
            record(db, Act("limit.set", limit.id, more=about), limit.created_at)
        return limit

    def remove(self, limit: str) -> None:
        """Remove a limit."""
        with self._database.transaction() as db:
            if db.execute("DELETE FROM limits WHERE id = ?", (limit,)).rowcount == 0:
                raise AccountError("unknown_limit")
            record(db, Act("limit.removed", limit), self._clock())


_COLUMNS: Final = "id, who, model, unit, amount, per, burst, created_at, created_by"


def check(limit: Limit) -> None:
    """Raise `AccountError` for a limit that makes no sense."""
    if not _ID.fullmatch(limit.id):
        raise AccountError("bad_limit_name")
    if not _WHO.fullmatch(limit.who):
        raise AccountError("bad_limited")
    if not is_pattern(limit.model):
        raise AccountError("bad_pattern")
    if not 1 <= limit.amount <= MOST or not 1 <= (1 if limit.burst is None else limit.burst) <= MOST:
        raise AccountError("bad_amount")
    if limit.burst is not None and not limit.is_rate:
        raise AccountError("burst_of_quota")


def _values(limit: Limit) -> tuple[object, ...]:
    return (
        *(limit.id, limit.who, limit.model, limit.unit, limit.amount, limit.per),
        *(limit.burst, limit.created_at, limit.created_by),
    )
