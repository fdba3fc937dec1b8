"""Which limits hold for whom, in one web process.

Owns the decision for each principal and model, which is made once and then remembered, and the buckets and sums behind
it. All of it runs on one thread, the event loop's. Must not know the database.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final

from auth.limits.bounds import Bound, Bounds, Quota, Rate, Tally, bounds_of
from auth.limits.cells import Cells
from auth.limits.limit import Limit
from auth.limits.usage import Counted, DaySum, Key
from auth.principal import Principal

_MOST_DECIDED: Final = 50_000


class Limiter:
    """Holds callers to the limits in force."""

    def __init__(self, cells: Cells | None = None, clock: Callable[[], float] = time.time) -> None:
        self._cells = cells or Cells()
        self._clock = clock
        self._decided: dict[tuple[str, frozenset[str], tuple[str, ...], str], Bounds | None] = {}
        self._tallies: dict[Key, Tally] = {}
        self._to_write: list[Tally] = []
        self._quotas: dict[str, dict[str, Quota]] = {}
        self.limits: tuple[Limit, ...] = ()
        self.on = False
        """Whether there is any limit. Where there is none, a request costs no more than this question."""

    def replace(self, limits: Iterable[Limit]) -> None:
        """Put these limits into force. Buckets and unchanged quotas go on where they were."""
        self.limits = tuple(limits)
        self.on = bool(self.limits)
        self._decided.clear()
        kept = {limit.id: limit for limit in self.limits}
        for quotas in self._quotas.values():
            for name in [name for name, quota in quotas.items() if kept.get(name) != quota.limit]:
                del quotas[name]

    def of(self, principal: Principal, model: str) -> Bounds | None:
        """The limits that hold for a principal on a model; None where none does."""
        asked = principal.name, principal.roles_on(model), principal.groups, model
        try:
            return self._decided[asked]
        except KeyError:
            if len(self._decided) >= _MOST_DECIDED:
                self._decided.clear()
                self._tallies.clear()
                self._quotas.clear()
            decided = self._decided[asked] = self._decide(principal, model)
            return decided

    def take(self) -> dict[Key, Counted]:
        """What was counted since the last call, to be written down."""
        tallies, self._to_write = self._to_write, []
        for principal in {tally.key.principal for tally in tallies}:
            for quota in self._quotas.get(principal, {}).values():
                quota.since = 0
        counts: dict[Key, Counted] = {}
        for tally in tallies:
            counts[tally.key] = tally.taken().plus(counts.get(tally.key))
        return counts

    def put_back(self, counts: dict[Key, Counted]) -> None:
        """Take back what could not be written, so that it is tried again."""
        for key, counted in counts.items():
            tally = self._tally(key)
            tally.requests += counted.requests
            tally.rows += counted.rows
            tally.refused += counted.refused
            tally.note(self._note)
            for quota in self._quotas.get(key.principal, {}).values():
                if quota.limit.covers(key.model):
                    quota.since += counted.requests if quota.limit.unit == "requests" else counted.rows

    def has_quota(self, principal: str) -> bool:
        """Whether a quota holds for a principal that has asked this process. Any thread may call it."""
        return bool(self._quotas.get(principal))

    def hear(self, principal: str, sums: list[DaySum]) -> None:
        """Take over what all processes have used, as the database says."""
        for quota in self._quotas.get(principal, {}).values():
            quota.hear(sums)

    def charge(self, key: Key, requests: int, rows: int, since_s: float, now: float) -> None:
        """Charge what other servers have let through in the last `since_s` seconds."""
        for limit in self.limits:
            if limit.is_rate and limit.covers(key.model) and (":" in limit.who or limit.who in ("*", key.principal)):
                cell = self._cells.known(_bucket(limit, key.principal))
                count = requests if limit.unit == "requests" else rows
                if cell is not None and count:
                    pace = Rate(limit, cell).pace
                    cell.numbers[cell.at] = pace.after_others(cell.numbers[cell.at], now, count, since_s)

    def _decide(self, principal: Principal, model: str) -> Bounds | None:
        roles = principal.roles_on(model)
        bounds = [
            self._bound(limit, principal.name)
            for limit in self.limits
            if limit.covers(model) and limit.binds(principal.name, roles, principal.groups)
        ]
        return bounds_of(bounds, self._tally(Key(principal.name, model)), self._note) if bounds else None

    def _bound(self, limit: Limit, principal: str) -> Bound:
        if limit.is_rate:
            return Rate(limit, self._cells.cell(_bucket(limit, principal)))
        quotas = self._quotas.setdefault(principal, {})
        if limit.id not in quotas:
            quotas[limit.id] = Quota(limit, self._clock)
        return quotas[limit.id]

    def _tally(self, key: Key) -> Tally:
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally(key)
        return tally

    def _note(self, tally: Tally) -> None:
        self._to_write.append(tally)


def _bucket(limit: Limit, principal: str) -> str:
    return f"{limit.bucket}\n{principal}"
