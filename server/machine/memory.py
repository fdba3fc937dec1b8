"""The memory that this process holds: measured, and given back to the kernel where it has been freed.

Web processes and workers keep what they free (`server/pools/environment.py`): a steady stream of large bodies is
2.5 times as fast so. Once the stream has ended nobody needs it any more.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
WORTH_BYTES = 8 << 20
"""Freed memory below this is not given back: it would cost the next call more in page faults than it saves."""
QUIET_LOOKS = 4
QUIET_SHARE = 0.02
"""A web process that uses less than this share of a core counts as idle. An idle one was measured at 0.003."""

_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it


class Meter:
    """Measures the memory of this process. The file stays open, because a locked-up worker could not open it again."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def address_bytes(self) -> int:
        """Addresses in use, whether or not there is memory behind them."""
        return self._pages()[0] * PAGE_BYTES

    def anonymous_bytes(self) -> int:
        """Resident memory that is not a file's, shared with other forks or not. Takes microseconds."""
        _, resident, shared = self._pages()
        return (resident - shared) * PAGE_BYTES

    def _pages(self) -> tuple[int, int, int]:
        try:
            size, resident, shared, *_ = map(int, os.pread(self._statm, 256, 0).split())
        except (OSError, ValueError):  # a model has closed the file; who reads the sockets notices as well
            return 0, 0, 0
        return size, resident, shared


def private_bytes(rollup: bytes) -> int:
    """Bytes of memory that a process shares with no other, from the text of its `/proc/<pid>/smaps_rollup`."""
    lines = (line.split() for line in rollup.splitlines() if line.startswith(b"Private_"))
    return sum(int(line[1]) for line in lines if line[0] != b"Private_Hugetlb:") * 1024


class Hoard:
    """Gives back memory that this process has freed and still holds, as far as that is seen outside its allocators."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._floor = meter.anonymous_bytes()

    def give_back(self, free: Callable[[], object] | None = None, grown_bytes: int = WORTH_BYTES) -> None:
        """Give freed memory back to the kernel where so much has come since the last time; `free` frees some first."""
        if self._meter.anonymous_bytes() < self._floor + grown_bytes:
            return
        if free is not None:
            free()
        _trim()
        self._floor = self._meter.anonymous_bytes()


class QuietHoard:
    """Gives back a web process's freed memory when it is idle, because it cannot tell when a body is done with."""

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = meter or Meter()
        self._least = self._meter.anonymous_bytes()
        self._quiet = 0
        self._last = time.monotonic(), time.process_time()

    def look(self) -> None:
        """Give freed memory back if the process has been idle. To be called a few times a second."""
        now = time.monotonic(), time.process_time()
        busy = (now[1] - self._last[1]) / max(now[0] - self._last[0], 1e-6)
        self._last = now
        self._quiet = self._quiet + 1 if busy < QUIET_SHARE else 0
        if self._quiet != QUIET_LOOKS:  # not again before there was something to do
            return
        if self._meter.anonymous_bytes() > self._least + WORTH_BYTES:
            _trim()
        self._least = min(self._least, self._meter.anonymous_bytes())


def _trim() -> None:
    if _malloc_trim is not None:
        _malloc_trim(0)
