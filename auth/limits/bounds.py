"""What holds one principal on one model: the rates and quotas under which a request has to stay.

Owns the order of things: every limit is asked before any is charged, so that a refused request takes from none; and
rows, which are known when a model has answered, are charged then. Owns the two headers that tell a caller (IETF draft
"RateLimit header fields for HTTP", 10). Each of `now` is of the monotonic clock, in seconds.
"""

from collections.abc import Callable
from math import ceil
from typing import Final, Literal, Protocol

from auth.errors import OverLimit
from auth.limits.cells import Cell
from auth.limits.limit import RATE_SECONDS, Limit
from auth.limits.pace import Pace
from auth.limits.period import Period
from auth.limits.usage import Counted, DaySum, Key


class Bound(Protocol):
    """One limit, as it holds for one principal on one model."""

    limit: Limit

    @property
    def seconds(self) -> int:
        """The time that the limit is for, in seconds."""

    def allows(self, now: float) -> bool:
        """Whether the limit allows one more request.

        It is charged by `take`, unless another limit refuses the request.
        """

    def take(self) -> None:
        """Charge the request that was allowed last."""

    def charge(self, count: int, now: float) -> None:
        """Charge some rows."""

    def wait_s(self, now: float) -> float:
        """Seconds until the limit allows one more request; 0 or less where it does now."""

    def figures(self, now: float) -> tuple[int, int]:
        """How many requests the limit still allows, and in how many seconds all of them are there again."""


class Rate:
    """A rate: a bucket that fills by itself."""

    __slots__ = ("_next", "at", "limit", "numbers", "pace", "seconds")

    def __init__(self, limit: Limit, cell: Cell) -> None:
        self.limit = limit
        self.seconds: Final = RATE_SECONDS[limit.per]
        self.pace: Final = Pace(limit.amount, self.seconds, limit.burst or limit.amount)
        self.numbers, self.at = cell
        self._next = 0.0

    def allows(self, now: float) -> bool:
        """Whether the rate allows one more request."""
        self._next = self.pace.admitted(self.numbers[self.at], now)
        return self._next > 0.0

    def take(self) -> None:
        """Charge the request that was allowed last."""
        self.numbers[self.at] = self._next

    def charge(self, count: int, now: float) -> None:
        """Charge some rows."""
        self.numbers[self.at] = self.pace.after(self.numbers[self.at], now, count)

    def wait_s(self, now: float) -> float:
        """Seconds until the rate allows one more request; 0 or less where it does now."""
        return self.pace.wait_s(self.numbers[self.at], now)

    def figures(self, now: float) -> tuple[int, int]:
        """How many requests the rate still allows, and in how many seconds its bucket is full again."""
        return self.pace.left(self.numbers[self.at], now)


class Quota:
    """A quota: a sum for a day or a month. The database says again and again what others have used of it."""

    __slots__ = ("_clock", "_period", "_used", "limit", "since")

    def __init__(self, limit: Limit, clock: Callable[[], float]) -> None:
        self.limit = limit
        self.since = 0
        """What was used in this process and not yet written to the database."""
        self._clock = clock
        self._used = 0
        self._period = Period.of(limit.per, clock())

    @property
    def seconds(self) -> int:
        """The length of the quota's day or month, in seconds."""
        return self._now().seconds

    def allows(self, now: float) -> bool:
        """Whether the quota allows one more request."""
        self._now()
        return self._used < self.limit.amount

    def take(self) -> None:
        """Charge the request that was allowed last."""
        self._used += 1
        self.since += 1

    def charge(self, count: int, now: float) -> None:
        """Charge some rows."""
        self._now()
        self._used += count
        self.since += count

    def wait_s(self, now: float) -> float:
        """Seconds until the quota allows one more request; 0 where it does now."""
        return 0.0 if self.allows(now) else self._period.end - self._clock()

    def figures(self, now: float) -> tuple[int, int]:
        """How many requests the quota still allows, and in how many seconds its day or month is over."""
        period = self._now()
        return max(self.limit.amount - self._used, 0), max(ceil(period.end - self._clock()), 0)

    def hear(self, sums: list[DaySum]) -> None:
        """Take over what all processes have used, as the database says; what is not written yet is added."""
        first_day = self._now().first_day
        own = "requests" if self.limit.unit == "requests" else "rows"
        counted = (getattr(one, own) for one in sums if one.day >= first_day and self.limit.covers(one.model))
        self._used = sum(counted) + self.since

    def _now(self) -> Period:
        """The sum of the present day or month; a new one begins at nothing."""
        if not self._period.begin <= self._clock() < self._period.end:
            self._period = Period.of(self.limit.per, self._clock())
            self._used = self.since = 0
        return self._period


class Tally:
    """What one principal has asked one model for since it was last written down."""

    __slots__ = ("key", "noted", "refused", "requests", "rows")

    def __init__(self, key: Key) -> None:
        self.key: Final = key
        self.requests = self.rows = self.refused = 0
        self.noted = False
        """Whether this tally is on the list of those to be written."""

    def note(self, to: Callable[["Tally"], None]) -> None:
        """Put this tally on the list of those to be written, unless it is there."""
        if not self.noted:
            self.noted = True
            to(self)

    def taken(self) -> Counted:
        """What was counted so far. Counting begins anew."""
        counted = Counted(self.requests, self.rows, self.refused)
        self.requests = self.rows = self.refused = 0
        self.noted = False
        return counted


class Bounds:
    """All limits that hold for a principal on a model."""

    __slots__ = ("_all", "_note", "_of_requests", "_of_rows", "_tally", "_template")

    def __init__(self, bounds: list[Bound], tally: Tally, note: Callable[[Tally], None]) -> None:
        self._all = bounds
        self._of_requests: Final = [bound for bound in bounds if bound.limit.unit == "requests"]
        self._of_rows: Final = [bound for bound in bounds if bound.limit.unit == "rows"]
        self._template: Final = _template(bounds)
        self._tally = tally
        self._note = note

    def admit(self, now: float) -> None:
        """Count a request; raise `OverLimit` where a limit does not allow it."""
        tally = self._tally
        if not tally.noted:
            tally.note(self._note)
        for bound in self._all:
            if not bound.allows(now):
                tally.refused += 1
                raise self._over(now)
        for bound in self._of_requests:
            bound.take()
        tally.requests += 1

    def answered(self, rows: int, now: float) -> bytes:
        """Count the rows of a request that a model has answered, and return the two headers of the answer."""
        tally = self._tally
        tally.rows += rows
        if not tally.noted:
            tally.note(self._note)
        for bound in self._of_rows:
            bound.charge(rows, now)
        return self.lines(now)

    def lines(self, now: float) -> bytes:
        """The two headers that tell a caller of the limits."""
        figures: tuple[int, ...] = ()
        for bound in self._all:
            figures += bound.figures(now)
        return self._template % figures

    def _over(self, now: float) -> OverLimit:
        """The refusal by that limit which keeps the caller waiting longest."""
        wait_s, bound = max(((bound.wait_s(now), bound) for bound in self._all), key=lambda pair: pair[0])
        limit, code = bound.limit, _CODES[bound.limit.is_rate]
        return OverLimit(code, limit.id, limit.in_words(), max(wait_s, _LEAST_WAIT_S))


class OneRate(Bounds):
    """One rate of requests and no other limit, which is what most callers have.

    It does the same in half of the steps.
    """

    __slots__ = ("_at", "_numbers", "_pace")

    def __init__(self, rate: Rate, tally: Tally, note: Callable[[Tally], None]) -> None:
        super().__init__([rate], tally, note)
        self._pace: Final = rate.pace
        self._numbers: Final = rate.numbers
        self._at: Final = rate.at

    def admit(self, now: float) -> None:
        """Count a request; raise `OverLimit` where the rate does not allow it."""
        tally = self._tally
        if not tally.noted:
            tally.note(self._note)
        numbers, at = self._numbers, self._at
        after = self._pace.admitted(numbers[at], now)
        if not after:
            tally.refused += 1
            raise self._over(now)
        numbers[at] = after
        tally.requests += 1

    def lines(self, now: float) -> bytes:
        """The two headers that tell a caller of the limits."""
        return self._template % self._pace.left(self._numbers[self._at], now)


def bounds_of(found: list[Bound], tally: Tally, note: Callable[[Tally], None]) -> Bounds:
    """All limits for a principal on a model, in the form that is quickest to ask."""
    first = found[0]
    if len(found) == 1 and isinstance(first, Rate) and first.limit.unit == "requests":
        return OneRate(first, tally, note)
    return Bounds(found, tally, note)


_CODES: Final[dict[bool, Literal["rate_limited", "quota_exceeded"]]] = {True: "rate_limited", False: "quota_exceeded"}
_LEAST_WAIT_S: Final = 0.001


def _template(bounds: list[Bound]) -> bytes:
    """The two headers, with a place for each figure that changes."""
    policies = ", ".join(_policy(bound.limit, bound.seconds) for bound in bounds)
    states = ", ".join(f'"{bound.limit.id}";r=%d;t=%d' for bound in bounds)
    return f"ratelimit-policy: {policies}\r\nratelimit: {states}\r\n".encode()


def _policy(limit: Limit, seconds: int) -> str:
    return f'"{limit.id}";q={limit.amount};w={seconds}' + (';qu="rows"' if limit.unit == "rows" else "")
