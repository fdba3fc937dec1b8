"""Which inputs may be missing: those with which, left empty, the model still answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from server.workers.python.cost import Stopwatch

FEW = 64
ENOUGH_S = 1.5
"""Seconds to spend on asking. An input that could not be asked about in that time may not be missing."""


def may_be(bears: Callable[[Sequence[str]], bool], names: Sequence[str]) -> set[str]:
    """Those of `names` that may be missing. `bears` says of several inputs whether they may be missing all at once.

    All are asked about at once. If that fails, a few are asked about one by one, and of many each half and so on: a
    call for each of 4,000 inputs would take minutes.
    """
    spent = Stopwatch().spent
    found: set[str] = set()
    groups = deque([names]) if names else deque()
    while groups and spent() < ENOUGH_S:
        group = groups.popleft()
        if bears(group):
            found.update(group)
        elif len(group) > FEW:
            groups += (group[: len(group) // 2], group[len(group) // 2 :])
        elif len(group) > 1:
            groups += ([name] for name in group)
    return found
