"""How long a client may take for what it does: a time of grace, and from then on a lowest average rate."""

from __future__ import annotations

GRACE_S = 10.0
"""Seconds in which a client may send or take nothing at all before its rate counts."""
MIN_BYTES_PER_S = 1024
"""Lowest average rate, after GRACE_S, at which a client may send a body or read a reply. It is a tenth of a poor mobile
link. Slower clients are cut, so that a malicious one holds a connection only as long as it pays for it in bytes."""


class Patience:
    """What a connection has used up of the time for what it does at present."""

    def __init__(self) -> None:
        self.spent_s = 0.0
        self.left_s = 0.0
        """Seconds until it has been too slow; every kilobyte buys one, up to the grace."""
        self._doing: object = None
        self._progress = 0

    def look(self, doing: object, progress: int, passed_s: float, grace_s: float) -> None:
        """Note what the connection does now, and how many bytes of it are done; `passed_s` after the last look."""
        if doing != self._doing:
            self._doing, self.spent_s, self.left_s = doing, 0.0, grace_s
        else:
            self.spent_s += passed_s
            gained_s = max(0, progress - self._progress) / MIN_BYTES_PER_S
            self.left_s = min(grace_s, self.left_s - passed_s + gained_s)
        self._progress = progress
