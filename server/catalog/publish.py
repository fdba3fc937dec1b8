"""A model version that comes as an archive: unpacked into a model folder, whole or not at all.

Owns what an archive may hold, and that a version's folder appears by one renaming. The watch over the model folders
does the rest. Must not know who sends it.
"""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Final

from server.catalog import beneath
from server.catalog.files import NAME

MOST_FILES: Final = 10_000
MOST_BYTES: Final = 8 << 30
"""What an archive may hold in all: more than any model, and less than fills a disk by surprise."""
_PIECE: Final = 1 << 20


class BadArchive(Exception):
    """An archive is not unpacked; the text says why."""


class AlreadyThere(Exception):
    """There is such a version already."""


class NoRoom(Exception):
    """The model folder cannot be written to; the text says why."""


def publish(archive: IO[bytes], folder: Path, model: str, version: str) -> Path:
    """Unpack a tar, plain or compressed, as `<folder>/<model>/<version>`. Raises BadArchive, AlreadyThere, NoRoom."""
    if not (NAME.fullmatch(model) and NAME.fullmatch(version)):
        raise BadArchive("names of models and versions have letters, digits, '.', '_' and '-', a letter or digit first")
    try:
        with suppress(FileNotFoundError), _of_model(folder / model) as of_model:
            os.lstat(version, dir_fd=of_model)
            raise AlreadyThere
        with _incoming(folder) as incoming:
            _unpack(archive, incoming)
            (incoming / MARK).touch(mode=0o644)
            incoming.chmod(0o755)
            with suppress(FileExistsError):
                (folder / model).mkdir(mode=0o755)
            with _of_model(folder / model) as of_model:
                os.rename(incoming, version, dst_dir_fd=of_model)
    except (tarfile.TarError, EOFError, ValueError, UnicodeError) as e:
        raise BadArchive("it is no tar archive, or it is cut off") from e
    except OSError as e:
        if e.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise AlreadyThere from e
        if e.strerror is None:  # what a compressed stream says of itself
            raise BadArchive("it is no tar archive, or it is cut off") from e
        raise NoRoom(e.strerror) from e
    return folder / model / version


MARK: Final = ".published"
"""An empty file in the folder of a version that came as an archive: no other is ever removed here."""


def remove(folder: Path, model: str, version: str) -> bool:
    """Remove a version that came as an archive; whether there was one. Raises NoRoom."""
    place = folder / model / version
    if not (NAME.fullmatch(model) and NAME.fullmatch(version)) or beneath.kind(place / MARK, folder) != "file":
        return False
    try:
        with _incoming(folder) as away, _of_model(folder / model) as of_model:
            os.rename(version, away / version, src_dir_fd=of_model)  # all of it is gone at once for whoever looks
        with suppress(OSError):
            place.parent.rmdir()
    except OSError as e:
        raise NoRoom(e.strerror) from e
    return True


@contextmanager
def _of_model(folder: Path) -> Iterator[int]:
    """A descriptor of a model's own folder. A link is not followed: it may lead out of the model folder."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _incoming(folder: Path) -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))  # hidden: no model is looked for in it
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _unpack(archive: IO[bytes], incoming: Path) -> None:
    files = size = 0
    with tarfile.open(fileobj=archive, mode="r|*") as opened:
        for member in opened:
            files += 1
            name = PurePosixPath(member.name)
            if files > MOST_FILES:
                raise BadArchive(f"it has more than {MOST_FILES} members")
            if name.is_absolute() or ".." in name.parts or "\\" in member.name or "\0" in member.name:
                raise BadArchive("a member's name leads out of it")
            if member.isdir():
                (incoming / name).mkdir(mode=0o755, parents=True, exist_ok=True)
                continue
            if not member.isreg():
                raise BadArchive("it has a link or a device; only files and folders are taken")
            size += member.size
            if size > MOST_BYTES:
                raise BadArchive(f"it holds more than {MOST_BYTES >> 30} GiB")
            source = opened.extractfile(member)
            assert source is not None
            target = incoming / name
            target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            with target.open("xb") as file:
                while piece := source.read(_PIECE):
                    file.write(piece)
            target.chmod(0o644)
    if not files:
        raise BadArchive("there is nothing in it")
