"""The days and months of UTC that quotas are for."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from auth.limits.limit import Per


class Period(NamedTuple):
    """A day or a month: its beginning and its end in unix seconds, and its first day as a date."""

    begin: float
    end: float
    first_day: str

    @property
    def seconds(self) -> int:
        """The length of the period in seconds."""
        return round(self.end - self.begin)

    @classmethod
    def of(cls, per: Per, now: float) -> Self:
        """The period that a time in unix seconds lies in."""
        begin = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        end = begin + timedelta(1)
        if per == "month":
            begin = begin.replace(day=1)
            end = (begin + timedelta(32)).replace(day=1)
        return cls(begin.timestamp(), end.timestamp(), begin.date().isoformat())
