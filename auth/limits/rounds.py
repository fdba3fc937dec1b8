"""What keeps a process's limits true: which there are, and what other processes and servers have let through.

Owns the round that a thread makes twice a second: it reads the limits, adds what was counted here to the database, and
looks what was added elsewhere. What it finds is handed to the event loop's thread, where the `Limiter` is. Should the
database fail, callers are held to what is known, and what was counted waits for the next round.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from secrets import token_hex
from typing import Final

from auth.errors import AccountsUnavailable
from auth.limits.cells import Cells
from auth.limits.limit import Limit, LimitStore
from auth.limits.limiter import Limiter
from auth.limits.usage import Counted, DaySum, Key, Line, UsageStore, day_of

EVERY_S: Final = 0.5
LATE_S: Final = 1.0
"""Seconds after which, at most, a request that another server has let through is heard of here."""

log = logging.getLogger(__name__)

Deliver = Callable[[Callable[[], None]], object]
"""Has the thread of the event loop call a function."""


@dataclass(slots=True)
class _Found:
    """What one round has found in the database."""

    limits: tuple[Limit, ...] = ()
    charges: dict[Key, list[int]] = field(default_factory=dict)
    """Requests and rows that other servers have let through since the last round."""
    new_day: bool = False
    sums: dict[str, list[DaySum]] = field(default_factory=dict)


class Rounds:
    """The rounds of one process."""

    def __init__(
        self,
        limiter: Limiter,
        limits: LimitStore,
        usage: UsageStore,
        cells: Cells,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limiter = limiter
        self._limits = limits
        self._usage = usage
        self._cells = cells
        self._clock = clock
        self._monotonic = monotonic
        self._process: Final = f"{cells.server}.{token_hex(4)}"
        self._running = False
        self._began = monotonic()
        self._to_write: dict[Key, Counted] = {}
        self._tick: int | None = None
        self._day: date | None = None
        self._lines: dict[tuple[str, Key, str], Line] = {}

    def begin(self) -> None:
        """Read the limits for the first time, before anybody is served; or later, if the database is away."""
        with suppress(AccountsUnavailable):
            self._limiter.replace(self._limits.in_force())

    def due(self) -> bool:
        """Whether it is time for a round, and none is running."""
        return not self._running and self._monotonic() - self._began >= EVERY_S

    def take(self, deliver: Deliver) -> Callable[[], None]:
        """A round, to be run in a thread. What it finds is handed to `deliver`."""
        self._running = True
        self._began = self._monotonic()
        counts = self._to_write = self._limiter.take()

        def run() -> None:
            try:
                found = self._round(counts)
            except AccountsUnavailable:  # which is in the log already
                deliver(self.skip)
            except Exception:
                log.exception("the limits could not be compared with other processes")
                deliver(self.skip)
            else:
                deliver(lambda: self._apply(found))

        return run

    def skip(self) -> None:
        """Note that a round did not come to its end. What it was to write waits for the next one."""
        self._running = False
        self._limiter.put_back(self._to_write)

    def finish(self) -> None:
        """Write down what was counted, at the end of the process."""
        counts = self._limiter.take()
        try:
            if counts:
                self._usage.add(self._process, day_of(self._clock()).isoformat(), counts)
        except Exception:  # nothing that is left to do depends on it
            log.exception("what was let through under limits could not be written")
        self._cells.close()

    def _round(self, counts: dict[Key, Counted]) -> _Found:
        found = _Found(self._limits.in_force())
        today = day_of(self._clock())
        touched = {key.principal for key in counts}
        if counts:
            self._usage.add(self._process, today.isoformat(), counts)
            self._to_write = {}
        if not found.limits:
            self._tick = None
            return found
        found.new_day = self._begin_day(today)
        changed = self._look_around(today, found)
        for principal in filter(self._limiter.has_quota, touched | changed):
            found.sums[principal] = list(self._usage.sums(principal, today.replace(day=1).isoformat()))
        return found

    def _begin_day(self, today: date) -> bool:
        if today == self._day:
            return False
        self._lines = {key: line for key, line in self._lines.items() if line.day >= today.isoformat()}
        if self._cells.leads():
            self._usage.forget(today)
        self._day = today
        return True

    def _look_around(self, today: date, found: _Found) -> set[str]:
        """Find the principals whose use has changed elsewhere."""
        first = self._tick is None
        after = -1 if self._tick is None else self._tick
        self._tick, lines = self._usage.lines(self._process, today.isoformat(), after)
        for line in lines:
            at = line.process, line.key, line.day
            before = self._lines.get(at)
            self._lines[at] = line
            if not first and not line.process.startswith(self._cells.server):
                charge = found.charges.setdefault(line.key, [0, 0])
                charge[0] += line.requests - (before.requests if before else 0)
                charge[1] += line.rows - (before.rows if before else 0)
        if not self._cells.leads():
            found.charges.clear()  # another process of this server charges its buckets
        return {line.key.principal for line in lines}

    def _apply(self, found: _Found) -> None:
        self._running = False
        limiter, now = self._limiter, self._monotonic()
        if found.new_day or found.limits != limiter.limits:
            limiter.replace(found.limits)
        for key, (requests, rows) in found.charges.items():
            limiter.charge(key, requests, rows, LATE_S, now)
        for principal, sums in found.sums.items():
            limiter.hear(principal, sums)
