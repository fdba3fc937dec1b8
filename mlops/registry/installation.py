"""Versions installed in a folder of a server: `<top>/{r,python}/<model>/<number>/`, as model folders are laid out.

A version's folder appears by one renaming, after every file's digest was found right. So there is no half of one,
whatever dies in between; what was left half done is removed at the next start.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

from mlops.registry.errors import RegistryError
from mlops.registry.record import File, Version
from mlops.registry.registry import Registry, blob

PARTIAL: Final = ".partial"
FOLDERS: Final = ("r", "python")
"""The folders for models of R, and for all others."""
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,7}")


class Installation:
    """The versions that are installed below a folder."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.folders = {name: top / name for name in FOLDERS}

    def prepare(self) -> None:
        """Make the folders, and remove what was left half done."""
        for folder in self.folders.values():
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        shutil.rmtree(self.top / PARTIAL, ignore_errors=True)

    def place(self, version: Version) -> Path:
        """The folder that a version is, or would be, installed in."""
        folder = self.folders["r" if version.record.runtime == "r" else "python"]
        return folder / version.model / str(version.number)

    def install(self, registry: Registry, version: Version) -> Path:
        """Have a version installed, and give its folder. Raises RegistryError and StoreUnavailable."""
        place = self.place(version)
        if place.is_dir():
            return place
        if version.record.source == "dropped":
            raise RegistryError(
                "unknown_file", f"{version.name} was dropped into a server's folder; its bytes are there"
            )
        (self.top / PARTIAL).mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=self.top / PARTIAL))
        try:
            for file in version.record.files:
                _fetch(registry, version, file, partial)
            partial.chmod(0o755)
            place.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                _rename(partial, place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return place

    def installed(self) -> set[tuple[str, int]]:
        """Models and numbers of the versions that are installed."""
        found = (place for folder in self.folders.values() for place in folder.glob("*/*"))
        return {(place.parent.name, int(place.name)) for place in found if _NUMBER.fullmatch(place.name)}

    def keep(self, needed: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
        """Remove all versions but these, and return those that were removed."""
        surplus = self.installed() - set(needed)
        for model, number in surplus:
            for folder in self.folders.values():
                self._remove(folder / model / str(number))
        return surplus

    def _remove(self, place: Path) -> None:
        """Remove a version's folder as a whole, so that nobody sees half of it."""
        (self.top / PARTIAL).mkdir(mode=0o700, parents=True, exist_ok=True)
        gone = Path(tempfile.mkdtemp(dir=self.top / PARTIAL))
        with suppress(FileNotFoundError):
            place.rename(gone / place.name)
        shutil.rmtree(gone, ignore_errors=True)
        with suppress(OSError):
            place.parent.rmdir()


def fetch(registry: Registry, version: Version, name: str) -> Iterable[bytes]:
    """The bytes of a version's file, piece by piece, unchecked. Raises RegistryError."""
    file = next((file for file in version.record.files if file.name == name), None)
    if file is None or version.deleted or version.record.source == "dropped":
        raise RegistryError("unknown_file", f"the registry has no file {name} of {version.name}")
    return registry.objects.pieces(blob(file))


def _fetch(registry: Registry, version: Version, file: File, folder: Path) -> None:
    place = folder / _checked(version, file.name)
    place.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    try:
        with place.open("xb") as writer:
            for piece in registry.objects.pieces(blob(file)):
                digest.update(piece)
                writer.write(piece)
    except FileNotFoundError as e:
        raise _damaged(version, file, "is not in the store") from e
    if digest.hexdigest() != file.sha256:
        raise _damaged(version, file, f"has the SHA-256 {digest.hexdigest()}, not {file.sha256}")


def _damaged(version: Version, file: File, what: str) -> RegistryError:
    return RegistryError("damaged_version", f"{version.name}: {file.name} {what}; register it again under another run")


def _checked(version: Version, name: str) -> PurePosixPath:
    """A file's name, which must not lead out of its folder.

    Whoever may write into the store may write any name there.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise RegistryError("damaged_version", f"{version.name}: {name!r} is no name of a file")
    return path


def _rename(partial: Path, place: Path) -> None:
    """Rename a folder. If another process was first, its version has the same bytes."""
    try:
        partial.rename(place)
    except OSError:
        if not place.is_dir():
            raise
