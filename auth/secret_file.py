"""A file of secrets that somebody else writes: read strictly, and again whenever it changes.

Owns how it is read, by whom it may be readable, and when a change counts. Must not know what is in it.

A change is taken at the second look that finds it, so that a file which is just being written is not read half-way.
(Kubernetes swaps a symbolic link, so there it is whole at once.) A file that has become bad or cannot be read is not
taken, and what it held before stays in force: a slip in a file that many servers share must not lock everybody out.
"""

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from auth.errors import SetupError

T = TypeVar("T")

_LARGEST_BYTES: Final = 1 << 20  # what a Kubernetes secret can hold

log = logging.getLogger(__name__)


class SecretFile(Generic[T]):
    """The content of a file, as `parse` reads it. `parse` raises ValueError for a content that will not do."""

    def __init__(self, path: Path, parse: Callable[[bytes], T], advice: str = "") -> None:
        self._path = path
        self._parse = parse
        self._advice = advice
        self._seen: object = None
        self._taken: object = None  # so that the first two looks read the file again: it may be half written now
        self._complaint = ""
        self.value = self._read()
        self.changes = 0

    def look(self) -> bool:
        """Take over what the file holds now. True if that differs from before. To be called about every second."""
        seen = _state(self._path)
        settled, self._seen = seen == self._seen, seen
        if seen == self._taken or not settled:
            return False
        try:
            value = self._read()
        except SetupError as problem:  # tried again at each look, as it may be the reading that failed; told once
            if str(problem) != self._complaint:
                self._complaint = str(problem)
                about = {"file": str(self._path), "reason": str(problem)}
                log.error("what was read before stays in force", extra=about)
            return False
        self._taken, self._complaint = seen, ""
        if value == self.value:
            return False
        self.value = value
        self.changes += 1
        log.info("read anew", extra={"file": str(self._path)})
        return True

    def _read(self) -> T:
        try:
            if not stat.S_ISREG(self._path.stat().st_mode):  # a named pipe would hold up the event loop
                raise self._refusal("is not a file")
            with self._path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode  # of what was opened: the path may lead elsewhere by now
                # Others, not the group: the kubelet gives the files of a volume to the pod's own group (fsGroup).
                if mode & stat.S_IRWXO:
                    raise self._refusal(
                        "can be read by other users, so it may be known to them. Change what is in it; or if you are"
                        " sure that nobody has read it: chmod o="
                    )
                raw = file.read(_LARGEST_BYTES + 1)
        except OSError as problem:
            raise self._refusal(f"cannot be read: {problem}") from problem
        if len(raw) > _LARGEST_BYTES:
            raise self._refusal(f"has more than {_LARGEST_BYTES} bytes")
        try:
            return self._parse(raw)
        except ValueError as problem:
            raise self._refusal(f"will not do: {problem}") from problem

    def _refusal(self, fault: str) -> SetupError:
        return SetupError(f"{self._path} {fault}. {self._advice}".rstrip())


def _state(path: Path) -> object:
    """What differs from before if the file was written to, swapped, given away or removed."""
    try:
        found = path.stat()
    except OSError as problem:
        return problem.errno
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
