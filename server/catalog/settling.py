"""When a file has settled: it has been left as it is for long enough to be read."""

from __future__ import annotations

import math
from pathlib import Path

from server.catalog.files import Candidate
from server.catalog.parts import Stamp

SURELY_WRITTEN_S = 10.0
REFUSE_S = 5.0
"""How long something that is no model has to lie unchanged before it is told."""


class Settling:
    """Tells which candidates have kept their size and times for long enough to be read."""

    def __init__(self, settle_s: float, refuse_s: float = REFUSE_S) -> None:
        self.settle_s = settle_s
        self.refuse_s = refuse_s
        self._since: dict[Path, tuple[Stamp, float]] = {}

    def settled(self, found: list[Candidate], now: float, wall_time: float) -> tuple[list[Candidate], bool]:
        """The candidates that can be read now, and whether models are still to come.

        What counts is how long we have watched a file stay as it is (`now` is monotonic), since who writes it may have
        another clock; only a file that is long past being written (by `wall_time`) is not watched first.
        """
        self._since = {c.path: (c.stamp, self._watched_since(c, now, wall_time)) for c in found}
        ready, waiting = [], False
        for one in found:
            if now - self._since[one.path][1] >= self._patience(one):
                ready.append(one)
            else:
                waiting |= one.refused is None
        return ready, waiting

    def _patience(self, candidate: Candidate) -> float:
        """What is no model may be one that somebody is about to rename, so that it is told later."""
        return self.settle_s if candidate.refused is None else max(self.settle_s, self.refuse_s)

    def _watched_since(self, candidate: Candidate, now: float, wall_time: float) -> float:
        known = self._since.get(candidate.path)
        if known is not None and known[0] == candidate.stamp:
            return known[1]
        if known is None and wall_time - candidate.modified > SURELY_WRITTEN_S:
            return -math.inf
        return now
