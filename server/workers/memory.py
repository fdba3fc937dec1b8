"""What a worker may use: its ceiling of memory.

The ceiling counts from the fork on, so that the models which the template holds are nobody's burden. Where it is
reached an allocation fails, the model raises an error and the worker lives. What no limit can catch (memory of several
processes, or of a GPU's driver) the supervisor watches (`server/pools/watchdog.py`).
"""

from __future__ import annotations

import resource
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from server.machine.memory import Meter

SLACK_BYTES = 128 << 20
"""Addresses without memory behind them: what allocators and libraries reserve."""
THREAD_BYTES = 72 << 20
"""A thread's stack and the addresses that glibc reserves for its allocations."""
WHOLE_FOLDERS = ("score.py", "MLmodel")
"""Files of which the whole folder is read."""
READING_FACTOR = 8
"""Memory for reading a model file, as a multiple of its size: a compressed .rds takes five, the proof some more."""


def limit(meter: Meter, ceiling_bytes: int, threads: int = 1) -> None:
    """Limit how much more memory this process may take. Called again it may lower the limit, not raise it."""
    extra = ceiling_bytes + SLACK_BYTES + THREAD_BYTES * (threads - 1)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit_bytes = meter.address_bytes() + extra
    if hard != resource.RLIM_INFINITY:
        limit_bytes = min(limit_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


def reading_bytes(paths: Iterable[str]) -> int:
    """What reading these model files may take beside the ceiling. A script's whole folder is its file."""
    return READING_FACTOR * sum(_size(Path(path)) for path in paths)


def _size(path: Path) -> int:
    files = path.parent.rglob("*") if path.name in WHOLE_FOLDERS else [path]
    total = 0
    for file in files:
        with suppress(OSError):  # it may have gone meanwhile
            total += file.stat().st_size
    return total
