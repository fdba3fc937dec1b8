"""Model files: which there are in a folder, when one has settled, and what names it.

`<folder>/<name>.rds` has the first 12 hex digits of its SHA-256 as its version; `<folder>/<name>/<version>/model.rds`
has the folder's name. A script is a folder: `<name>/score.R` or `<name>/<version>/score.R` with whatever it reads
beside it, and all of that counts. The key also covers the sidecar, so that a new sidecar is a new thing to load.
The file's ending says which runtime it is for.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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

SURELY_WRITTEN_S = 10.0

Stamp = tuple[int, int, int, int, int]


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
    stamp = _folder_stamp(path.parent) if path.name in SCRIPTS else _stamp(status)
    return Candidate(runtime, name, version, path, sidecar, stamp + _sidecar_stamp(sidecar))


def _folder_stamp(folder: Path) -> tuple[int, int, int]:
    stamps = [_stamp(path.stat()) for path in _files(folder)]
    return sum(s[0] for s in stamps), max((s[1] for s in stamps), default=0), len(stamps)


def _files(folder: Path) -> list[Path]:
    """The regular files of a script's folder, at any depth, in order; not what Python compiles of them by itself."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _sidecar_stamp(path: Path) -> tuple[int, int]:
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
            digest.update(
                f"{part.relative_to(path.parent)}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode()
            )
    return digest


def identify(candidate: Candidate) -> ModelFile:
    """Read a candidate's bytes once and name it. Raises OSError where it has gone meanwhile."""
    digest = _digest(candidate.path)
    version = candidate.version or digest.hexdigest()[:DIGEST_DIGITS]
    if candidate.sidecar.is_file():
        digest.update(b"\0" + candidate.sidecar.read_bytes())
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
    )


class Settling:
    """Tells which candidates have kept their size and times for long enough to be read."""

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._since: dict[Path, tuple[Stamp, float]] = {}

    def settled(self, found: list[Candidate], now: float, wall_time: float) -> tuple[list[Candidate], bool]:
        """The candidates that can be read now, and whether others are still to come.

        What counts is how long we have watched a file stay as it is (`now` is monotonic), since who writes it may have
        another clock; only a file that is long past being written (by `wall_time`) is not watched first.
        """
        self._since = {c.path: (c.stamp, self._watched_since(c, now, wall_time)) for c in found}
        ready = [c for c in found if now - self._since[c.path][1] >= self._settle_s]
        return ready, len(ready) < len(found)

    def _watched_since(self, candidate: Candidate, now: float, wall_time: float) -> float:
        known = self._since.get(candidate.path)
        if known is not None and known[0] == candidate.stamp:
            return known[1]
        if known is None and wall_time - candidate.modified > SURELY_WRITTEN_S:
            return -math.inf
        return now
