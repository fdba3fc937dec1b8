"""Model files: which there are in a folder, when one has settled, and what names it.

`<folder>/<name>.rds` has the first 12 hex digits of its SHA-256 as its version; `<folder>/<name>/<version>/model.rds`
has the folder's name. The key also covers the sidecar, so that a new sidecar is a new thing to load.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

DIGEST_DIGITS = 12
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SUFFIXES = {"r": (".rds",)}
"""By runtime, how its model files' names end."""

SURELY_WRITTEN_S = 10.0

Stamp = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that looks like a model, before anybody has read it."""

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


def candidates(folder: Path, runtime: str) -> list[Candidate]:
    """The model files of a folder, bare ones and those in version folders. A folder that is missing has none."""
    suffixes = SUFFIXES[runtime]
    found: list[Candidate | None] = []
    for entry in _entries(folder):
        if entry.suffix in suffixes:
            found.append(_candidate(entry.stem, None, entry, entry.with_suffix(".yaml")))
        else:
            for version in _entries(entry):
                for suffix in suffixes:
                    path = version / f"model{suffix}"
                    found.append(_candidate(entry.name, version.name, path, version / "model.yaml"))
    return [candidate for candidate in found if candidate is not None]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _candidate(name: str, version: str | None, path: Path, sidecar: Path) -> Candidate | None:
    """Regular files with fit names only: opening a pipe or a device that somebody left there would hang."""
    if not NAME.fullmatch(name) or not NAME.fullmatch(version or "0"):
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Candidate(name, version, path, sidecar, _stamp(status) + _sidecar_stamp(sidecar))


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _sidecar_stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def identify(candidate: Candidate, runtime: str) -> ModelFile:
    """Read a candidate's bytes once and name it. Raises OSError where it has gone meanwhile."""
    with candidate.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    version = candidate.version or digest.hexdigest()[:DIGEST_DIGITS]
    if candidate.sidecar.is_file():
        digest.update(b"\0" + candidate.sidecar.read_bytes())
    key = f"{candidate.name}/{version}/{digest.hexdigest()[:DIGEST_DIGITS]}"
    return ModelFile(
        runtime=runtime,
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
