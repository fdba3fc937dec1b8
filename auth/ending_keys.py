"""How many API keys end soon.

Owns how often that is looked at; the store says which keys they are, and tells the audit of each. Must not know how
keys are kept.
"""

import logging
from collections.abc import Callable
from typing import Final

from auth.errors import AccountsUnavailable

EVERY_S: Final = 60.0

log = logging.getLogger(__name__)


class EndingKeys:
    """The keys that end soon, as of the last look."""

    def __init__(self, note: Callable[[float], int]) -> None:
        self._note = note
        self._looked_at: float | None = None
        self.count = 0

    def due(self, now: float) -> bool:
        """Whether it is time to look again."""
        return self._looked_at is None or not 0 <= now - self._looked_at < EVERY_S

    def take(self, now: float) -> Callable[[], None]:
        """A function that looks once, to be run in a thread."""
        self._looked_at = now

        def look() -> None:
            try:
                self.count = self._note(now)
            except AccountsUnavailable:
                log.info("the keys that end soon cannot be counted, as the accounts cannot be reached")
            except Exception:  # the next look is another try
                log.exception("the keys that end soon could not be counted")

        return look
