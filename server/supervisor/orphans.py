"""Orphans: ended processes that no other process waits for.

In a container the supervisor is process 1: whatever loses its parent, such as the workers of a killed template,
becomes its child, and stays in the table of processes as a zombie until it is waited for.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class Orphans:
    """Waits for children that have ended and that their own parents did not wait for."""

    def __init__(self) -> None:
        self._ended_before: set[int] = set()

    def reap(self) -> None:
        """Wait for those that had ended at the last call already: a parent that lives has waited for its own by now."""
        ended = _ended_children(os.getpid())
        for pid in ended & self._ended_before:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._ended_before = ended - self._ended_before


def _ended_children(parent: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has gone
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
            if state == "Z" and int(ppid) == parent:
                found.add(int(stat.parent.name))
    return found
