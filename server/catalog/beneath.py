"""Opening what lies in a model folder, and nothing else: links are followed inside of it, and never out of it.

Whoever may write into a model folder may put a link there, to the signing key or to a file of /proc that has no end.
So what is opened is asked where it lies, and not its name, which may mean another file a moment later: a file is first
got hold of without being opened, then looked at, and only then opened for reading, which never waits. Links inside the
folder go on working: Kubernetes mounts ConfigMaps and Secrets as such. The folder may be a link itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

CHUNK_BYTES = 1 << 20
LEADS_OUT = "a link that leads out of the model folder, and such are not followed; copy what it leads to"

Kind = Literal["file", "folder", "out", "nothing", "other"]
"""What a path leads to: `out` of the model folder, to `nothing`, or to an `other` thing, as a pipe or a device."""


class Unopened(OSError):
    """Something that is not opened, or not read to its end; the text says why, and what to do about it."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.EXDEV, text)
        self.text = text


def status(path: Path, folder: Path) -> os.stat_result:
    """The status of what a path in a model folder leads to. Raises OSError, which is Unopened where it leads out."""
    if path.parent == folder and not stat.S_ISLNK((found := path.lstat()).st_mode):
        return found  # there is no folder on the way that may be a link
    with _path_fd(path, folder) as fd:
        return os.fstat(fd)


def kind(path: Path, folder: Path) -> Kind:
    """What a path in a model folder leads to."""
    try:
        mode = status(path, folder).st_mode
    except Unopened:
        return "out"
    except OSError:
        return "nothing"
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def is_there(path: Path, folder: Path) -> bool:
    """Whether a path in a model folder leads to a file. One outside counts too, so that opening it tells of it."""
    return kind(path, folder) in ("file", "out")


def names(path: Path, folder: Path) -> list[str]:
    """The names of what lies in a folder, in order. Raises OSError, which is Unopened where the path leads out."""
    with _path_fd(path, folder) as path_fd, _reopened(path_fd, os.O_DIRECTORY) as fd, os.scandir(fd) as entries:
        return sorted(entry.name for entry in entries)


def listed(path: Path, folder: Path) -> list[tuple[str, Literal["file", "folder", "link", "other"]]]:
    """The names of what lies in a folder, each with what it is itself, wherever it leads."""
    with _path_fd(path, folder) as path_fd, _reopened(path_fd, os.O_DIRECTORY) as fd, os.scandir(fd) as entries:
        return sorted((entry.name, _itself(entry)) for entry in entries)


def folders(path: Path, folder: Path) -> list[str]:
    """The names of the folders in a folder, without links to any."""
    with _path_fd(path, folder) as path_fd, _reopened(path_fd, os.O_DIRECTORY) as fd, os.scandir(fd) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def _itself(entry: os.DirEntry[str]) -> Literal["file", "folder", "link", "other"]:
    if entry.is_symlink():
        return "link"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


@contextlib.contextmanager
def opened(path: Path, folder: Path) -> Iterator[int]:
    """A descriptor to read a file in a model folder by. Raises OSError, which is Unopened where it leads out."""
    with _path_fd(path, folder) as path_fd:
        if not stat.S_ISREG(os.fstat(path_fd).st_mode):
            raise Unopened(f"{path.name} is not a file")
        with _reopened(path_fd) as fd:
            yield fd


def pieces(path: Path, folder: Path) -> Iterator[bytes]:
    """The bytes of a file in a model folder, as many as its size says. Raises OSError as `opened`."""
    with opened(path, folder) as fd:
        yield from pieces_of(fd, path.name)


def pieces_of(fd: int, name: str) -> Iterator[bytes]:
    """The bytes of an open file, as many as its size says. Raises OSError, which is Unopened where it has no end."""
    size = left = os.fstat(fd).st_size
    while piece := read(fd, min(CHUNK_BYTES, left + 1)):
        left -= len(piece)
        if left < 0:
            raise _too_long(name, os.fstat(fd).st_size > size)
        yield piece


def read(fd: int, size: int) -> bytes:
    """Read at most so many bytes of what is open, without waiting for more."""
    try:
        return os.read(fd, size)
    except BlockingIOError:  # it has no more now; whatever comes later is beyond its size
        return b""


def _too_long(name: str, written: bool) -> OSError:
    if written:
        return OSError(errno.ESTALE, f"{name} is being written")
    return Unopened(f"{name} holds more than its size says, as no plain file does; copy what it holds")


@contextlib.contextmanager
def _path_fd(path: Path, folder: Path) -> Iterator[int]:
    """Hold what a path leads to without opening it, if it lies in the folder."""
    with _closing(os.open(path, os.O_PATH | os.O_CLOEXEC)) as fd:
        with _closing(os.open(folder, os.O_PATH | os.O_CLOEXEC)) as top:
            if not _place(fd).is_relative_to(_place(top)):
                raise Unopened(f"{path.name} is {LEADS_OUT}")
        yield fd


@contextlib.contextmanager
def _closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


def _reopened(path_fd: int, flags: int = 0) -> contextlib.AbstractContextManager[int]:
    return _closing(os.open(f"/proc/self/fd/{path_fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags))


def _place(fd: int) -> Path:
    """The place that the kernel names for what we hold, now that all links have been followed."""
    return Path(f"/proc/self/fd/{fd}").readlink()
