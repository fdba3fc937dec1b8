"""When and from where keys were used last, on the way to the database.

Owns what was not written yet: one use a key, written every few seconds by a thread. Must not know how keys are kept.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from auth.errors import AccountsUnavailable
from auth.network import shown_network

EVERY_S: Final = 2.0

log = logging.getLogger(__name__)


class Uses:
    """The uses that are still to be written."""

    def __init__(self, write: Callable[[Mapping[str, tuple[float, str]]], None]) -> None:
        self._write = write
        self._pending: dict[str, tuple[float, str]] = {}
        self._written_at = 0.0

    def note(self, key: str, now: float, address: str) -> None:
        """Take note that a key was used."""
        self._pending[key] = now, address

    def due(self, now: float) -> bool:
        """Whether it is time to write."""
        return bool(self._pending) and not 0 <= now - self._written_at < EVERY_S

    def take(self, now: float) -> Callable[[], None]:
        """A function that writes all uses that are there now, to be run in a thread."""
        pending, self._pending, self._written_at = self._pending, {}, now

        def write() -> None:
            try:
                if pending:
                    self._write({key: (at, shown_network(address)) for key, (at, address) in pending.items()})
            except AccountsUnavailable:
                log.warning("last uses of keys are lost, as the accounts cannot be written")
            except Exception:  # a last use that is lost is no reason to refuse anybody
                log.exception("last uses of keys could not be written")

        return write
