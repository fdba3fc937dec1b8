"""Refusals on the way to the audit: summed by network, reason and minute.

Owns what was not written yet. A flood of wrong tokens becomes a row a minute for each network, and whoever sends it
cannot fill the disk. Must not know how the audit is kept.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from auth.audit import Act
from auth.errors import AccountsUnavailable, Reason
from auth.network import shown_network

EVERY_S: Final = 60.0
_MOST: Final = 1000
_ELSEWHERE: Final = "elsewhere"
"""The name for all further networks, where more are refused in a minute than are told apart."""

log = logging.getLogger(__name__)


class Refusals:
    """The refusals that are still to be written."""

    def __init__(self, write: Callable[[Sequence[Act]], None]) -> None:
        self._write = write
        self._pending: Counter[tuple[str, Reason, str]] = Counter()
        self._since = 0.0

    def note(self, reason: Reason, address: str, now: float, key: str = "") -> None:
        """Take note that somebody was refused; `key` is the id of the API key that it is about."""
        if not self._pending:
            self._since = now
        what = shown_network(address), reason, key
        room = what in self._pending or len(self._pending) < _MOST
        self._pending[what if room else (_ELSEWHERE, reason, "")] += 1

    def due(self, now: float) -> bool:
        """Whether it is time to write."""
        return bool(self._pending) and not 0 <= now - self._since < EVERY_S

    def take(self) -> Callable[[], None]:
        """A function that writes all refusals that are there now, to be run in a thread."""
        acts = [
            Act(
                "refused",
                network,
                "refused",
                {"reason": reason, "count": count} | ({"key": key} if key else {}),
                who="",
            )
            for (network, reason, key), count in sorted(self._pending.items())
        ]
        self._pending.clear()

        def write() -> None:
            try:
                if acts:
                    self._write(acts)
            except AccountsUnavailable:
                log.warning("refusals are not in the audit, as it cannot be written")
            except Exception:  # nobody is refused for it; the metric has them all the same
                log.exception("refusals could not be written to the audit")

        return write
