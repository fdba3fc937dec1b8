"""The newest lines that each model with a pool of its own has written, for whoever asks how it is doing.

Owns their bounds. Lines of pools that models share are in the log alone: they would tell of one model what another one
wrote.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

MOST_LINES: Final = 500
MOST_CHARS: Final = 1000
MOST_POOLS: Final = 200
"""So many pools, or pools of the past, are remembered: some 100 MB if all of them write long lines."""


class Recent:
    """The newest lines by pool."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[str]] = {}

    def take(self, pool: str, record: Mapping[str, Any]) -> None:
        """Remember a line of the log, if it is of a pool of one model."""
        if not is_own(pool):
            return
        if pool not in self._lines:
            self._lines[pool] = deque(maxlen=MOST_LINES)
            if len(self._lines) > MOST_POOLS:
                del self._lines[next(iter(self._lines))]
        self._lines[pool].append(_text(record)[:MOST_CHARS])

    def text(self, pool: str, most: int) -> str:
        """The newest lines, the newest last; at most so many."""
        lines = self._lines.get(pool, deque())
        return "\n".join(list(lines)[-most:] if most > 0 else [])


def is_own(pool: str) -> bool:
    """Whether a pool has one model alone: these have a number in their name."""
    return pool[-1:].isdigit()


def _text(record: Mapping[str, Any]) -> str:
    said = f"{record['time']} {str(record['level']).upper()} {record.get('text') or record['message']}"
    return f"{said}\n{record['exception']}" if "exception" in record else said


RECENT: Final = Recent()
"""Of this process: the supervisor's pools write to it."""
