"""The spool: frames in the order in which they came, in segments on this disk, each with a checksum of its own.

Owns what is on the disk and how much. A segment is written to until it is sealed, and never changes afterwards, so what
is made of it is the same whenever it is made. Must not know what frames say beyond which model they are of.
"""

from __future__ import annotations

import errno
import logging
import os
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import Final

import orjson

from mlops.collection.ledger import Counts, Ledger, add
from server.wire.collect import HEAD, ID_BYTES, CollectError, Kind, digests_of_pair, head_of, id_of

log = logging.getLogger(__name__)

OPEN, SEALED = ".open", ".spool"
SEGMENT_FRAMES: Final = 10_000
SEGMENT_BYTES: Final = 4 << 20
CHECK: Final = 4
"""Bytes of the checksum before each frame."""
_DIGEST = slice(HEAD.size, HEAD.size + ID_BYTES)


class Spool:
    """The segments of a folder, one of which is being written."""

    def __init__(self, folder: Path, largest_bytes: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._largest_bytes = largest_bytes
        self.ledger = Ledger(folder / "ledger.json")
        self._models: dict[bytes, str] = {}
        """The model of each description that was received."""
        self._descriptions: dict[bytes, bytes] = {}
        self.waiting: Counts = {}
        """What the segments hold that is not in the store yet."""
        self.bytes = 0
        self.refused = False
        """Whether the ledger's file lacks copies for which there was no room."""
        self._file: FileIO | None = None
        self._number = self.ledger.through
        self._began = 0.0
        self._frames = 0
        self._size = 0
        self._written: set[bytes] = set()
        """The descriptions that the open segment has."""
        self.sealed: list[Path] = []
        self._recover()

    def put(self, frames: Iterable[tuple[Kind, bytes]]) -> bool:
        """Append frames by one write; False if there was no room for them, which is counted. Raises CollectError."""
        written = self._written if self._file is not None else set()
        new: dict[bytes, bytes] = {}
        parts: list[bytes] = []
        counts: Counter[str] = Counter()
        for kind, frame in frames:
            if kind is Kind.DESCRIPTION:
                self._describe(frame)
                continue
            for digest in digests_of_pair(frame[HEAD.size :]) if kind is Kind.PAIR else (frame[_DIGEST],):
                if digest not in written and digest not in new:
                    if digest not in self._models:
                        raise CollectError("a copy of a model that was not described")
                    new[digest] = _checked(self._descriptions[digest])
            parts.append(zlib.crc32(frame).to_bytes(CHECK, "little"))
            parts.append(frame)
            if kind is Kind.REQUEST:
                counts[self._models[frame[_DIGEST]]] += 1
        if not parts:
            return True
        there_is_room = self._append(b"".join([*new.values(), *parts]))
        self.refused = self.refused or not there_is_room
        for model, count in counts.items():
            became = {"received": count} if there_is_room else {"received": count, "spool_full": count}
            add(self.waiting if there_is_room else self.ledger.done, {model: became})
        if there_is_room:
            self._written |= new.keys()
            self._frames += len(parts) // 2
            if self._frames >= SEGMENT_FRAMES or self._size >= SEGMENT_BYTES:
                self.seal()
        return there_is_room

    def seal(self) -> None:
        """End the open segment, if there is one."""
        if self._file is None:
            return
        self._file.close()
        self._file = None
        path = self._path(OPEN)
        self.sealed.append(path.rename(path.with_suffix(SEALED)))

    @property
    def age_s(self) -> float:
        """How long the open segment has been written to, in seconds; 0 where there is none."""
        return time.time() - self._began if self._file is not None else 0.0

    @property
    def oldest_s(self) -> float:
        """How old the oldest thing is that is not in the store, in seconds."""
        ages = [time.time() - path.stat().st_mtime for path in self.sealed[:1]]
        return max([*ages, self.age_s], default=0.0)

    def counts(self) -> Counts:
        """All that was received, and what became of it so far."""
        found: Counts = {}
        add(found, self.ledger.done)
        add(found, self.waiting)
        return found

    def done(self, path: Path, became: Counts) -> None:
        """The parts of the oldest segment are in the store: count what became of it, and remove it."""
        held = counts_of(path)
        add(self.ledger.done, held)
        add(self.ledger.done, became)
        self.ledger.through = int(path.stem)
        self.ledger.write()
        for model, counts in held.items():
            self.waiting[model].subtract(counts)
        self.sealed.remove(path)
        self.bytes -= path.stat().st_size
        path.unlink()

    def _describe(self, frame: bytes) -> None:
        payload = frame[HEAD.size :]
        digest = id_of(payload)
        self._models[digest] = str(orjson.loads(payload)["model"])
        self._descriptions[digest] = frame

    def _append(self, data: bytes) -> bool:
        if self.bytes + len(data) > self._largest_bytes:
            return False
        try:
            if self._file is None:
                self._open()
            assert self._file is not None
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as e:  # what may be half there has to go, or what comes after it could not be read
            log.error("the spool cannot be written", extra={"reason": e.strerror})
            if self._file is not None:
                os.ftruncate(self._file.fileno(), self._size)
                self._file.seek(self._size)
            return False
        self._size += len(data)
        self.bytes += len(data)
        return True

    def _open(self) -> None:
        self._number += 1
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = FileIO(os.open(self._path(OPEN), flags, 0o600), "wb")
        self._began, self._frames, self._size = time.time(), 0, 0
        self._written.clear()

    def _path(self, ending: str) -> Path:
        return self._folder / f"{self._number:012d}{ending}"

    def _recover(self) -> None:
        """Take over what an earlier recorder left: whole frames count, half of one at the end was never received."""
        for path in sorted(self._folder.glob(f"*{OPEN}")):
            with path.open("r+b") as file:
                file.truncate(sum(CHECK + len(frame) for _, frame in frames(path)))
            path.rename(path.with_suffix(SEALED))
        for path in sorted(self._folder.glob(f"*{SEALED}")):
            if int(path.stem) <= self.ledger.through:  # its end came between the ledger and the removal
                path.unlink()
                continue
            self._number = max(self._number, int(path.stem))
            self.bytes += path.stat().st_size
            add(self.waiting, counts_of(path))
            self.sealed.append(path)


def frames(path: Path) -> Iterator[tuple[Kind, bytes]]:
    """The whole frames of a segment, each with its head, up to the first that is damaged."""
    data = path.read_bytes()
    at = 0
    while len(data) - at >= CHECK + HEAD.size:
        try:
            kind, size = head_of(data, at + CHECK)
        except CollectError:
            return
        end = at + CHECK + HEAD.size + size
        frame = data[at + CHECK : end]
        if end > len(data) or zlib.crc32(frame) != int.from_bytes(data[at : at + CHECK], "little"):
            return
        yield kind, frame
        at = end


def counts_of(path: Path) -> Counts:
    """How many requests of each model a segment holds."""
    models: dict[bytes, str] = {}
    found: Counts = {}
    for kind, frame in frames(path):
        payload = frame[HEAD.size :]
        if kind is Kind.DESCRIPTION:
            models[id_of(payload)] = orjson.loads(payload)["model"]
        elif kind is Kind.REQUEST:
            found.setdefault(models[payload[:ID_BYTES]], Counter())["received"] += 1
    return found


def _checked(frame: bytes) -> bytes:
    return zlib.crc32(frame).to_bytes(CHECK, "little") + frame
