"""Model files: which there are in a folder, when one has settled, and what names it.

`<folder>/<name>.rds` has the first 12 hex digits of its SHA-256 as its version; `<folder>/<name>/<version>/model.rds`
has the folder's name. A script is a folder: `<name>/score.R` or `<name>/<version>/score.R` with whatever it reads
beside it, and all of that counts. The key also covers the sidecar, so that a new sidecar is a new thing to load.
The file's ending says which runtime it is for. `<file>.sig` is a model's signature and never part of it.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from server.catalog.private_copy import PrivateCopy

DIGEST_DIGITS = 12
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
Kinds = Mapping[str, str]
"""How a model file's name ends, or a script's whole name: the runtime that it is for."""

R_FILES: Kinds = {".rds": "r", "score.R": "r"}
PYTHON_FILES: Kinds = {
    ".joblib": "python",
    ".pkl": "python",
    ".skops": "python",
    ".onnx": "python",
    ".pt2": "torch",
    ".pt": "torch",
    "score.py": "script",
}
SCRIPTS = ("score.R", "score.py")
"""The files that make a folder a model."""
SIGNATURE_SUFFIX = ".sig"

SURELY_WRITTEN_S = 10.0

Stamp = tuple[int, ...]
"""Size, time and inode of a model file, then size and time of its sidecar and of its signature."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that looks like a model, before anybody has read it."""

    runtime: str
    name: str
    version: str | None
    path: Path
    sidecar: Path
    stamp: Stamp

    @property
    def modified(self) -> float:
        """When the model file or its sidecar was last written, in seconds since 1970."""
        return max(self.stamp[1], self.stamp[4]) / 1e9

    @property
    def parts(self) -> dict[str, Path]:
        """Everything that the model is made of, by its name relative to the model file's folder."""
        if self.path.name in SCRIPTS:
            return {str(part.relative_to(self.path.parent)): part for part in _files(self.path.parent)}
        return {part.name: part for part in (self.path, self.sidecar) if part.is_file()}


@dataclass(frozen=True, slots=True)
class Signed:
    """What a model's signature was found to be."""

    outcome: Literal["verified", "unsigned", "bad_signature", "no_room"]
    text: str
    """By which key it was signed; or what is wrong, and what to do about it."""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A settled model file with its identity."""

    runtime: str
    name: str
    version: str
    key: str
    path: Path
    sidecar: Path
    size_bytes: int
    modified: float
    in_version_folder: bool
    copy: PrivateCopy | None = None
    """What is read in the file's place, where signatures are verified; `sidecar` is then the copy's too."""
    signed: Signed | None = None
    stamp: Stamp | None = field(default=None, compare=False)
    """Of what the key was made from."""

    @property
    def content(self) -> Path:
        """The file to read, where `path` is where the model lies."""
        return self.path if self.copy is None else self.copy.path


def candidates(folder: Path, kinds: Kinds) -> list[Candidate]:
    """The model files of a folder, bare ones and those in version folders. A folder that is missing has none."""
    scripts = {name: runtime for name, runtime in kinds.items() if name in SCRIPTS}
    in_version = scripts | {f"model{suffix}": runtime for suffix, runtime in kinds.items() if suffix not in SCRIPTS}
    found: list[Candidate | None] = []
    for entry in _entries(folder):
        if entry.suffix in kinds:
            found.append(_candidate(kinds[entry.suffix], entry.stem, None, entry, entry.with_suffix(".yaml")))
            continue
        for name, runtime in scripts.items():
            found.append(_candidate(runtime, entry.name, None, entry / name, entry / "model.yaml"))
        for version in _entries(entry):
            for name, runtime in in_version.items():
                found.append(_candidate(runtime, entry.name, version.name, version / name, version / "model.yaml"))
    return [candidate for candidate in found if candidate is not None]


def candidate_at(path: Path) -> Candidate | None:
    """The model that a file is, or the folder of a version or of a script, as if it lay in a folder of models."""
    kinds = {**R_FILES, **PYTHON_FILES}
    if path.is_dir():
        names = (*SCRIPTS, *(f"model{suffix}" for suffix in kinds if suffix not in SCRIPTS))
        there = [path / name for name in names if (path / name).is_file()]
        return candidate_at(there[0]) if len(there) == 1 else None
    path = path.absolute()
    runtime = kinds.get(path.name) or kinds.get(path.suffix)
    if runtime is None or not path.is_file():
        return None
    folder = path.parent
    script, in_version = path.name in SCRIPTS, path.name == f"model{path.suffix}"
    name = folder.name if script else folder.parent.name if in_version else path.stem
    sidecar = folder / "model.yaml" if script else path.with_suffix(".yaml")
    stamp = _stamps(path, path.stat(), sidecar)
    return Candidate(runtime, name, folder.name if in_version else None, path, sidecar, stamp)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _candidate(runtime: str, name: str, version: str | None, path: Path, sidecar: Path) -> Candidate | None:
    """Regular files with fit names only: opening a pipe or a device that somebody left there would hang."""
    if not NAME.fullmatch(name) or not NAME.fullmatch(version or "0"):
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Candidate(runtime, name, version, path, sidecar, _stamps(path, status, sidecar))


def _stamps(path: Path, status: os.stat_result, sidecar: Path) -> Stamp:
    stamp = _folder_stamp(path.parent) if path.name in SCRIPTS else _stamp(status)
    return stamp + _small_stamp(sidecar) + _small_stamp(signature_of(path))


def signature_of(path: Path) -> Path:
    """Where a model file's signature lies, if it has one."""
    return path.with_name(path.name + SIGNATURE_SUFFIX)


def _folder_stamp(folder: Path) -> tuple[int, int, int]:
    stamps = [_stamp(path.stat()) for path in _files(folder)]
    return sum(s[0] for s in stamps), max((s[1] for s in stamps), default=0), len(stamps)


def _files(folder: Path) -> list[Path]:
    """The regular files of a script's folder, at any depth, in order; not what Python compiles of them by itself."""
    signatures = {signature_of(folder / name) for name in SCRIPTS}
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path not in signatures
    )


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _small_stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _digest(path: Path) -> hashlib._Hash:
    """Of a file its bytes; of a script the names and bytes of all files in its folder."""
    if path.name not in SCRIPTS:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256")
    digest = hashlib.sha256()
    for part in _files(path.parent):
        with part.open("rb") as file:
            digest.update(os.fsencode(part.relative_to(path.parent)))  # a name need not be text
            digest.update(f"\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest


def _update(digest: hashlib._Hash, path: Path) -> None:
    """In pieces: nobody has looked yet how large the file is."""
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)


def identify(candidate: Candidate, signature: Path | None = None) -> ModelFile:
    """Read a candidate's bytes once and name it. Raises OSError where it has gone meanwhile.

    The key covers the signature only where there is somebody to verify it.
    """
    digest = _digest(candidate.path)
    version = candidate.version or digest.hexdigest()[:DIGEST_DIGITS]
    for part in (candidate.sidecar, signature):
        if part is not None and part.is_file():
            digest.update(b"\0")
            _update(digest, part)
    key = f"{candidate.name}/{version}/{digest.hexdigest()[:DIGEST_DIGITS]}"
    return ModelFile(
        runtime=candidate.runtime,
        name=candidate.name,
        version=version,
        key=key,
        path=candidate.path.absolute(),
        sidecar=candidate.sidecar,
        size_bytes=candidate.stamp[0],
        modified=candidate.modified,
        in_version_folder=candidate.version is not None,
        stamp=candidate.stamp,
    )


def unchanged(file: ModelFile) -> bool:
    """Whether nobody has touched a model file since its key was made, so that what was read of it is what it names."""
    if file.copy is not None or file.stamp is None:
        return True
    try:
        return _stamps(file.path, file.path.stat(), file.sidecar) == file.stamp
    except OSError:
        return False


def identified_again(file: ModelFile) -> ModelFile | None:
    """A model file as it is now, if it is still, or again, what its key was made from."""
    version = file.version if file.in_version_folder else None
    try:
        stamp = _stamps(file.path, file.path.stat(), file.sidecar)
        again = identify(Candidate(file.runtime, file.name, version, file.path, file.sidecar, stamp))
    except OSError:
        return None
    return again if again.key == file.key else None


class Settling:
    """Tells which candidates have kept their size and times for long enough to be read."""

    def __init__(self, settle_s: float) -> None:
        self.settle_s = settle_s
        self._since: dict[Path, tuple[Stamp, float]] = {}

    def settled(self, found: list[Candidate], now: float, wall_time: float) -> tuple[list[Candidate], bool]:
        """The candidates that can be read now, and whether others are still to come.

        What counts is how long we have watched a file stay as it is (`now` is monotonic), since who writes it may have
        another clock; only a file that is long past being written (by `wall_time`) is not watched first.
        """
        self._since = {c.path: (c.stamp, self._watched_since(c, now, wall_time)) for c in found}
        ready = [c for c in found if now - self._since[c.path][1] >= self.settle_s]
        return ready, len(ready) < len(found)

    def _watched_since(self, candidate: Candidate, now: float, wall_time: float) -> float:
        known = self._since.get(candidate.path)
        if known is not None and known[0] == candidate.stamp:
            return known[1]
        if known is None and wall_time - candidate.modified > SURELY_WRITTEN_S:
            return -math.inf
        return now
