"""The buckets of one server, in memory that all of its web processes share.

Owns a file in the run folder that each process maps: a table of numbers by name, one for each bucket. A number is read
and written as it is, without a lock: two processes that write at the same moment lose one request of the count, which
is less than one in a hundred under the heaviest load. Only whoever adds a name holds the file's lock.

Must not know what the numbers mean. A full table, or no file, gives numbers that the process has for itself.
"""

import fcntl
import mmap
import os
import secrets
from array import array
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

_NAME_BYTES: Final = 16
_SLOT_BYTES: Final = _NAME_BYTES + 8
_SLOTS: Final = 1 << 16
_MOST_FILLED: Final = _SLOTS * 3 // 4
_FREE: Final = bytes(_NAME_BYTES)


class Cell(NamedTuple):
    """One number in the table, and its place there."""

    numbers: "memoryview[float] | array[float]"
    at: int


class Cells:
    """The table of numbers. Its first slot has the server's own name, and how many slots are taken."""

    def __init__(self, path: Path | None = None, slots: int = _SLOTS, most_filled: int = _MOST_FILLED) -> None:
        self._slots = slots
        self._most_filled = most_filled
        self._file = None if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = slots * _SLOT_BYTES
        if self._file is None:
            self._bytes = mmap.mmap(-1, size)
        else:
            os.ftruncate(self._file, size)
            self._bytes = mmap.mmap(self._file, size)
        self._numbers: memoryview[float] = memoryview(self._bytes).cast("d")
        self._leads: int | None = None
        self._path = path
        self.server: Final = self._own_name()
        """A name that is the same in all processes of this server, and in no other's."""

    def cell(self, name: str) -> Cell:
        """The number of this name, which is 0 if the name is new."""
        digest = _digest(name)
        slot = self._find(digest)
        if slot is None:
            slot = self._add(digest)
        return Cell(array("d", [0.0]), 0) if slot is None else self._cell(slot)

    def known(self, name: str) -> Cell | None:
        """The number of this name, if any process of this server has made it."""
        slot = self._find(_digest(name))
        return None if slot is None else self._cell(slot)

    def leads(self) -> bool:
        """Whether this process acts for the whole server, until it ends."""
        if self._leads is None and self._path is not None:
            leads = os.open(self._path.with_name(self._path.name + ".leads"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            try:
                fcntl.flock(leads, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(leads)
                return False
            self._leads = leads
        return True

    def close(self) -> None:
        """Let go of the files. The numbers stay readable: a request may still be on its way."""
        for file in (self._file, self._leads):
            if file is not None:
                with suppress(OSError):
                    os.close(file)
        self._file = self._leads = None

    def _find(self, digest: bytes) -> int | None:
        for slot in self._places(digest):
            found = self._name(slot)
            if found == digest:
                return slot
            if found == _FREE:
                return None
        return None

    def _add(self, digest: bytes) -> int | None:
        self._lock(fcntl.LOCK_EX)
        try:
            slot = self._find(digest)  # another process may have been first
            filled = int(self._numbers[2])
            if slot is not None or filled >= self._most_filled:
                return slot
            slot = next(at for at in self._places(digest) if self._name(at) == _FREE)
            self._numbers[2] = filled + 1
            self._bytes[slot * _SLOT_BYTES : slot * _SLOT_BYTES + _NAME_BYTES] = digest
            return slot
        finally:
            self._lock(fcntl.LOCK_UN)

    def _name(self, slot: int) -> bytes:
        return self._bytes[slot * _SLOT_BYTES : slot * _SLOT_BYTES + _NAME_BYTES]

    def _places(self, digest: bytes) -> Iterator[int]:
        """The slots where a name may be, in the order in which they are looked at."""
        first = int.from_bytes(digest[:8], "little")
        return (1 + (first + step) % (self._slots - 1) for step in range(self._slots - 1))

    def _cell(self, slot: int) -> Cell:
        return Cell(self._numbers, slot * 3 + 2)

    def _own_name(self) -> str:
        self._lock(fcntl.LOCK_EX)
        try:
            if self._name(0) == _FREE:
                self._bytes[:_NAME_BYTES] = secrets.token_bytes(_NAME_BYTES)
            return self._bytes[:6].hex()
        finally:
            self._lock(fcntl.LOCK_UN)

    def _lock(self, how: int) -> None:
        if self._file is not None:
            fcntl.flock(self._file, how)


def _digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=_NAME_BYTES).digest()
