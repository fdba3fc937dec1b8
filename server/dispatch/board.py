"""The board of busy workers: what several web processes let each other know of the calls that they wait for.

Beside each worker's socket lies a file that all web processes map, with a cell for each of them: empty, or the model
that it has called and since when. A call costs two writes of eight bytes. A cell belongs to whoever locks its byte in
the run folder's file of lanes; the kernel takes the lock of one that dies, and its cells count no more.

The board says which workers have been held so long by another that to wait for them would be to wait behind a call
that may be stuck. One that is held for a moment is not worth avoiding: it will be free before anybody could be told.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from zlib import crc32

log = logging.getLogger(__name__)

LANES_FILE = "lanes"
SUFFIX = ".busy"
LANES = 128
"""Twice as many as there may be web processes: the old ones stay a while where the settings change."""
CELL_BYTES = 8
EMPTY = bytes(LANES * CELL_BYTES)
HELD_LONG_S = 0.02
"""A call that has taken this long counts as one that others should not wait behind."""

_CLOCK_BITS = 32
_CLOCK_MASK = (1 << _CLOCK_BITS) - 1
_LOCK = struct.Struct("hhqqi")
"""The kernel's `struct flock`: type, whence, start, length, pid."""


class NoLane(Exception):
    """There are as many web processes as lanes."""


class Board:
    """One web process's place on the board. `clock` is one that all processes of the machine share."""

    def __init__(self, run_dir: Path, clock: Callable[[], float] = monotonic) -> None:
        """Take a lane. Raises NoLane."""
        self._clock = clock
        self._lanes = os.open(run_dir / LANES_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lane = self._claim()
        self._files: dict[str, mmap.mmap] = {}
        self._cells: dict[str, memoryview[int]] = {}
        self._models: dict[int, str] = {}
        self._marks: dict[str, int] = {}

    def add(self, worker: str, socket_path: str) -> None:
        """A worker has been connected. Where its file cannot be had nobody hears of its calls."""
        try:
            file = os.open(socket_path + SUFFIX, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            log.exception("the board of busy workers cannot be written", extra={"worker": worker})
            return
        os.ftruncate(file, len(EMPTY))
        mapped = self._files[worker] = mmap.mmap(file, len(EMPTY))
        os.close(file)
        self._cells[worker] = memoryview(mapped).cast("Q")
        self._cells[worker][self._lane] = 0  # what a dead owner of this lane left

    def drop(self, worker: str) -> None:
        """A worker is not connected any more."""
        cells = self._cells.pop(worker, None)
        if cells is not None:
            cells[self._lane] = 0
            cells.release()
            self._files.pop(worker).close()

    def hold(self, worker: str, model: str) -> None:
        """A worker has been sent a call of this model."""
        cells = self._cells.get(worker)
        if cells is not None:
            mark = self._marks.get(model) or self._mark(model)
            cells[self._lane] = mark << _CLOCK_BITS | int(self._clock() * 1000) & _CLOCK_MASK

    def release(self, worker: str) -> None:
        """It has answered."""
        cells = self._cells.get(worker)
        if cells is not None:
            cells[self._lane] = 0

    def busy_long(self) -> Mapping[str, str]:
        """The workers that others have held for long, each with the model that it is held by."""
        now = self._milliseconds()
        return {
            worker: model
            for worker, file in self._files.items()
            if file[:] != EMPTY and (model := self._holder(self._cells[worker], now)) is not None
        }

    def busy(self) -> frozenset[str]:
        """The workers that others hold at this moment, for however short a time."""
        return frozenset(worker for worker, cells in self._cells.items() if self._held_elsewhere(cells))

    def close(self) -> None:
        """Leave the lane."""
        for worker in list(self._cells):
            self.drop(worker)
        os.close(self._lanes)

    def _held_elsewhere(self, cells: memoryview[int]) -> bool:
        return any(cell and lane != self._lane and self._taken(lane) for lane, cell in enumerate(cells))

    def _holder(self, cells: memoryview[int], now: int) -> str | None:
        for lane, cell in enumerate(cells):
            if not cell or lane == self._lane:
                continue
            age = (now - cell) & _CLOCK_MASK
            if HELD_LONG_S * 1000 <= age < 1 << (_CLOCK_BITS - 1) and self._taken(lane):
                return self._models.get(cell >> _CLOCK_BITS, "")
        return None

    def _mark(self, model: str) -> int:
        """A model as a number, the same in every process."""
        mark = self._marks.get(model)
        if mark is None:
            mark = self._marks[model] = crc32(model.encode()) | 1
            self._models[mark] = model
        return mark

    def know(self, models: Mapping[str, object]) -> None:
        """Models by whose names others' cells are told."""
        for model in models:
            self._mark(model)

    def _milliseconds(self) -> int:
        return int(self._clock() * 1000) & _CLOCK_MASK

    # Lanes. Locks of an open file: two descriptors of one process exclude each other as two processes do.

    def _claim(self) -> int:
        for lane in range(LANES):
            try:
                fcntl.fcntl(self._lanes, fcntl.F_OFD_SETLK, _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, lane, 1, 0))
            except OSError:
                continue
            return lane
        os.close(self._lanes)
        raise NoLane

    def _taken(self, lane: int) -> bool:
        asked = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, lane, 1, 0)
        kind: int = _LOCK.unpack(fcntl.fcntl(self._lanes, fcntl.F_OFD_GETLK, asked))[0]
        return kind != fcntl.F_UNLCK
