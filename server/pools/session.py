"""Processes that models have forked in a template and left there. They end with the template.

A worker's own children are of its process group, and end with that. A template is the leader of a session, which
nothing that it or its forks start can leave in the sandbox.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection
from pathlib import Path

LOOKS = 50
"""How often to look for groups, because children may fork others meanwhile. A whole group ends at once."""


def end(session: int, spared: Collection[int]) -> None:
    """End all process groups of a session whose leader has ended, except those that are spared."""
    for _ in range(LOOKS):
        groups = _groups(session) - set(spared)
        if not groups:
            return
        for group in groups:
            with contextlib.suppress(OSError):  # it has just ended
                os.killpg(group, signal.SIGKILL)


def _groups(session: int) -> set[int]:
    """The groups of those that live. If the number of the leader is a process's again, they are somebody else's."""
    if Path(f"/proc/{session}").exists():
        return set()
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has gone
            state, _, group, of = stat.read_text().rpartition(")")[2].split()[:4]
            if state != "Z" and int(of) == session:
                found.add(int(group))
    return found
