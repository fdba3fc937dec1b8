"""How long somebody who keeps failing has to wait.

Owns the counts, in memory and bounded; each web process has its own, so a limit holds per process. Must not know what
was tried. Time is an argument.

An attempt is counted before it is made and taken back if it succeeds. Counting failures afterwards would let a burst of
parallel guesses through before the first of them is known to be wrong.
"""

from dataclasses import dataclass
from typing import Final

from auth.errors import Throttled

_FORGET_AFTER_S: Final = 900.0


@dataclass(frozen=True, slots=True)
class _Failures:
    count: int
    last_at: float


class Backoff:
    """Exponential waiting per key: `free` attempts at no cost, then 1 s, 2 s, 4 s ... up to `longest_s`."""

    def __init__(self, free: int, longest_s: float = 60.0, most_keys: int = 10_000) -> None:
        self._free = free
        self._longest_s = longest_s
        self._most_keys = most_keys
        self._failures: dict[str, _Failures] = {}  # oldest first

    def attempt(self, key: str, now: float) -> None:
        """Count an attempt; raise `Throttled`, uncounted, while `key` has to wait."""
        known = self._recent(key, now)
        wait_s = known.last_at + self._delay_s(known.count) - now
        if wait_s > 0:
            raise Throttled(wait_s)
        self._failures.pop(key, None)
        if len(self._failures) >= self._most_keys:
            del self._failures[next(iter(self._failures))]
        self._failures[key] = _Failures(known.count + 1, now)

    def take_back(self, key: str) -> None:
        """Undo an attempt that was counted and did not fail."""
        known = self._failures.get(key)
        if known is None:
            return
        if known.count > 1:
            self._failures[key] = _Failures(known.count - 1, known.last_at)
        else:
            del self._failures[key]

    def forget(self, key: str) -> None:
        """Forgive every failure of `key`."""
        self._failures.pop(key, None)

    def _recent(self, key: str, now: float) -> _Failures:
        known = self._failures.get(key)
        if known is None or now - known.last_at >= _FORGET_AFTER_S:
            return _Failures(0, now)
        return known

    def _delay_s(self, failures: int) -> float:
        if failures < self._free:
            return 0.0
        return min(self._longest_s, 2.0 ** min(failures - self._free, 16))
