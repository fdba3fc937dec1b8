"""The watch over workers: finds those that use more memory than any limit could catch, and those that were stopped.

Models are shared and nobody's burden, so what counts is how much a worker has grown since it answered for the first
time, and what its children hold alone. A worker that only writes to what it shared (R's full collections do) has not
grown by this measure: it asks to be replaced (`server/workers/upkeep.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from server.machine.memory import PAGE_BYTES, private_bytes
from server.pools.worker import Worker

LOOK_EVERY_S = 1.0
ALLOWANCE = 1.25
"""A worker may reach this multiple of its ceiling before it is killed from outside: its own limits act earlier."""
SLACK_BYTES = 128 << 20
"""Bytes allowed on top, which a worker's own limits allow too."""


class Watchdog:
    """Looks at a pool's workers, and remembers what each was like when it was seen first."""

    def __init__(self) -> None:
        self._began: dict[Worker, int] = {}
        self._stopped: set[Worker] = set()

    def look(self, workers: Iterable[Worker], ceiling_bytes: int) -> Iterator[tuple[Worker, str]]:
        """The workers that must be killed now, and why."""
        most_bytes = int(ALLOWANCE * ceiling_bytes) + SLACK_BYTES
        workers = [worker for worker in workers if worker.fork.alive]
        now_bytes = {worker: anonymous_bytes(worker.fork.pid) for worker in workers}
        stopped = {worker for worker in workers if is_stopped(worker.fork.pid)}
        self._began = {worker: self._began.get(worker, now_bytes[worker]) for worker in workers}
        before, self._stopped = self._stopped, stopped
        for worker in workers:
            if worker in stopped & before:
                yield worker, "stopped"
            elif now_bytes[worker] - self._began[worker] + _of_children(worker.fork.pid) > most_bytes:
                yield worker, "memory"


def anonymous_bytes(pid: int) -> int:
    """Resident memory of a process that is not a file's; 0 once it has gone."""
    try:
        _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_bytes().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * PAGE_BYTES


def is_stopped(pid: int) -> bool:
    """Whether a process has been sent SIGSTOP or the like."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"T"
    except (OSError, IndexError):
        return False


def _of_children(pid: int) -> int:
    total = 0
    for child in _children(pid):
        try:
            total += private_bytes(Path(f"/proc/{child}/smaps_rollup").read_bytes())
        except OSError:
            continue
        total += _of_children(child)
    return total


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):  # it has just ended
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            found += map(int, path.read_bytes().split())
    return found
