"""The run folder of one supervisor: its sockets, the web processes' settings and metric files, open to nobody else.

It is locked for as long as its supervisor lives. A supervisor that starts removes those that killed ones left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Self

PREFIX = "tandem-"
PID_FILE = "pid"
"""Written once the folder is locked: a folder without it may be about to be."""


class RunFolder:
    """A new folder, held until `remove`."""

    def __init__(self) -> None:
        _remove_left_behind(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        (self.path / PID_FILE).write_text(f"{os.getpid()}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _remove_left_behind(parent: Path) -> None:
    for pid_file in parent.glob(f"{PREFIX}*/{PID_FILE}"):
        with contextlib.suppress(OSError):  # another user's, or gone, or held by a supervisor that lives
            _remove_if_left(pid_file.parent)


def _remove_if_left(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(lock).st_uid == os.getuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
