"""How fast one caller may go: the generic cell rate algorithm (GCRA), which is a leaky bucket kept in one number.

Owns the arithmetic alone. Every time is an argument, in seconds of a clock that never jumps; nothing is kept here.

The number of a bucket is the moment at which it will be empty again. Each request moves it on by the interval that the
rate leaves between two. It may lie ahead of now by the time that the burst stands for, and no further.
"""

from math import ceil

_SLACK = 1e-3
"""Share of an interval that is let pass.

Sums of many small numbers are not exact, and no caller shall lose a request by that.
"""


class Pace:
    """A rate: how many requests in a time, and how many at once at most."""

    __slots__ = ("_interval_s", "_most_ahead_s")

    def __init__(self, amount: int, seconds: float, burst: int) -> None:
        self._interval_s = seconds / amount
        self._most_ahead_s = (burst + _SLACK) * self._interval_s

    def wait_s(self, empty_at: float, now: float) -> float:
        """Seconds until one more request is allowed; 0 or less where it is now."""
        ahead_s = empty_at - now
        return (ahead_s if ahead_s > 0.0 else 0.0) + self._interval_s - self._most_ahead_s

    def admitted(self, empty_at: float, now: float) -> float:
        """The bucket's number after one more request; 0 where that is not allowed."""
        ahead_s = (empty_at - now if empty_at > now else 0.0) + self._interval_s
        return now + ahead_s if ahead_s <= self._most_ahead_s else 0.0

    def after(self, empty_at: float, now: float, count: int = 1) -> float:
        """The bucket's number after `count` more requests."""
        return (empty_at if empty_at > now else now) + count * self._interval_s

    def after_others(self, empty_at: float, now: float, count: int, since_s: float) -> float:
        """The bucket's number after `count` requests that others have let through in the last `since_s` seconds.

        At what moment is not known. All of them are taken to be at the beginning, so that nobody gets less than the
        rate.
        """
        return self.after(empty_at, now - since_s, count)

    def left(self, empty_at: float, now: float) -> tuple[int, int]:
        """How many requests would be allowed at once, and in how many whole seconds as many as ever."""
        if empty_at <= now:
            return int(self._most_ahead_s / self._interval_s), 0
        ahead_s = empty_at - now
        free_s = self._most_ahead_s - ahead_s
        return int(free_s / self._interval_s) if free_s > 0.0 else 0, ceil(ahead_s)
