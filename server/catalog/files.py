"""Model files: which there are in a folder, and what names one.

`<folder>/<name>.rds` has the first 12 hex digits of its SHA-256 as its version; `<folder>/<name>/<version>/model.rds`
has the folder's name, and so has `<folder>/<name>/model.rds`. A script is a folder: `<name>/score.R` or
`<name>/<version>/score.R` with whatever it reads beside it, and all of that counts; MLflow's `MLmodel` too.
The key also covers the sidecar and a Python model's requirements, so that a new one is a new thing to load.
The file's ending, in capitals or not, says which runtime it is for. `<file>.sig` is a model's signature and never part
of it. What else lies in a folder is told by `unserved.py`.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

from server.catalog import beneath, mlmodel
from server.catalog.listing import Listing
from server.catalog.parts import IN_FOLDER, WHOLE, Stamp, digest_of, files_in, requirements_of, stamps, update
from server.catalog.private_copy import PrivateCopy
from server.catalog.texts import is_mere_text

DIGEST_DIGITS = 12
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
Kinds = Mapping[str, str]
"""How a model file's name ends, or a script's whole name: the runtime that it is for."""

_PICKLES = (".joblib", ".pkl", ".pickle", ".sav")
_PACKED = (".gz", ".bz2", ".xz", ".lzma", ".z")
R_FILES: Kinds = {".rds": "r", ".RData": "r", ".rda": "r", "score.R": "r"}
PYTHON_FILES: Kinds = {
    **dict.fromkeys(_PICKLES, "python"),
    ".skops": "python",
    ".onnx": "python",
    ".pt2": "torch",
    ".pt": "torch",
    **{pickle + packed: "python" for pickle in _PICKLES for packed in _PACKED},
    **dict.fromkeys((".ubj", ".cbm", ".txt", ".xgb", ".lgb", ".bst", ".model", ".json"), "python"),
    "score.py": "script",
    mlmodel.NAME: "python",
}
TRAIN = "train"
"""The folder of what models are made with; nothing in it is served."""
NOT_SERVED = "not_served"
"""The code of what lies in a model folder and is no model."""


@dataclass(frozen=True, slots=True)
class NotServed:
    """Why something in a model folder is not even tried, and what to do about it."""

    reason: str
    code: str = NOT_SERVED


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that looks like a model, before anybody has read it; or something that is told to be none."""

    runtime: str
    name: str
    version: str | None
    path: Path
    sidecar: Path
    stamp: Stamp
    refused: NotServed | None = None
    folder: Path | None = None
    """The model folder, which no link leads out of; None for the file's own."""

    @property
    def modified(self) -> float:
        """When the model file or its sidecar was last written, in seconds since 1970."""
        return max(self.stamp[1], self.stamp[4]) / 1e9

    @property
    def top(self) -> Path:
        """The model folder, or what stands for one."""
        return self.folder or self.path.parent

    @property
    def parts(self) -> dict[str, Path]:
        """Everything that the model is made of, by its name relative to the model file's folder."""
        if self.path.name in WHOLE:
            return {str(part.relative_to(self.path.parent)): part for part in files_in(self.path.parent, self.top)}
        beside = (self.path, self.sidecar, requirements_of(self.runtime, self.path, self.sidecar, self.folder))
        return {part.name: part for part in beside if part is not None and beneath.is_there(part, self.top)}


@dataclass(frozen=True, slots=True)
class Signed:
    """What a model's signature was found to be."""

    outcome: Literal["verified", "unsigned", "bad_signature", "no_room"]
    text: str
    """The key that it was signed by; or what is wrong, and what to do about it."""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A settled model file with its identity."""

    runtime: str
    name: str
    version: str
    model_key: str
    path: Path
    sidecar: Path
    size_bytes: int
    modified: float
    in_version_folder: bool
    copy: PrivateCopy | None = None
    """What is read in the file's place, where signatures are verified; `sidecar` is then the copy's too."""
    signed: Signed | None = None
    stamp: Stamp | None = field(default=None, compare=False)
    """The stamp of what the key was made from."""
    refused: NotServed | None = None
    folder: Path | None = field(default=None, compare=False)
    """The model folder that the file lies in; for a private copy the copy's own folder."""

    @property
    def content(self) -> Path:
        """The file to read, where `path` is where the model lies."""
        return self.path if self.copy is None else self.copy.path

    @property
    def requirements(self) -> Path | None:
        """The file that names the packages of the model's own environment, if there is one."""
        found = requirements_of(self.runtime, self.content, self.sidecar, self.folder)
        top = self.folder or self.content.parent
        return found if found is not None and beneath.is_there(found, top) else None


def candidates(folder: Path, kinds: Kinds, listing: Listing | None = None) -> list[Candidate]:
    """The model files of a folder: bare ones, those in folders of their own, and those in version folders.

    A folder that is missing has none.
    """
    listing = listing or Listing(folder)
    found: list[Candidate] = []
    for entry in listing.entries(folder):
        ending = ending_of(entry.name, kinds)
        if ending is not None and beneath.kind(entry, folder) != "folder":
            stem = entry.name[: -len(ending)]
            found += _candidate(kinds[ending], stem, None, entry, entry.with_name(f"{stem}.yaml"), folder)
            continue
        if entry.name == TRAIN:
            continue
        own = in_folder(entry, entry.name, None, kinds, listing)
        found += own
        if not any(one.path.name in WHOLE for one in own):  # else what lies deeper belongs to it
            for version in listing.entries(entry):
                found += in_folder(version, entry.name, version.name, kinds, listing)
    return found


def in_folder(folder: Path, name: str, version: str | None, kinds: Kinds, listing: Listing) -> list[Candidate]:
    """The model of this name in a folder: none, or one. Of several files called `model` it is the first of `kinds`."""
    by_name = {_place(path.name, kinds): path for path in reversed(listing.every(folder))}
    for kind in (*(k for k in kinds if k in WHOLE), *(k for k in kinds if k not in WHOLE)):
        if kind in by_name:
            found = _candidate(kinds[kind], name, version, by_name[kind], folder / f"{IN_FOLDER}.yaml", listing.folder)
            if found:
                return found
    return []


def _place(name: str, kinds: Kinds) -> str | None:
    """Which of the kinds a file in a folder of its own is."""
    if name in WHOLE:
        return name
    ending = ending_of(name, kinds)
    return ending if ending is not None and name[: -len(ending)] == IN_FOLDER else None


def ending_of(name: str, kinds: Kinds) -> str | None:
    """Which of the kinds a file's name ends with: the longest, in capitals or not."""
    by_ending = _by_ending(tuple(kinds))
    lower = name.lower()
    dot = lower.find(".", 1)
    while dot > 0:
        if (found := by_ending.get(lower[dot:])) is not None:
            return found
        dot = lower.find(".", dot + 1)
    return None


@lru_cache(maxsize=64)
def _by_ending(kinds: tuple[str, ...]) -> Mapping[str, str]:
    return {kind.lower(): kind for kind in reversed(kinds) if kind[0] == "."}


def candidate_at(path: Path) -> Candidate | None:
    """The model that a file is, or the folder of a version or of a script, as if it lay in a folder of models."""
    kinds = {**R_FILES, **PYTHON_FILES}
    path = path.absolute()
    folder = path if path.is_dir() else path.parent
    found = in_folder(folder, folder.name, None, kinds, Listing(folder.parent))
    if found and found[0].path.name not in WHOLE:
        found = in_folder(folder, folder.parent.name, folder.name, kinds, Listing(folder.parent.parent))
    if path.is_dir() or [one for one in found if one.path == path or is_part(path, one)]:
        return found[0] if found else None
    ending = ending_of(path.name, kinds)
    if ending is None:
        return None
    stem = path.name[: -len(ending)]
    found = _candidate(kinds[ending], stem, None, path, path.with_name(f"{stem}.yaml"), path.parent)
    return found[0] if found else None


def is_part(path: Path, candidate: Candidate) -> bool:
    """Whether a file belongs to a model that is a whole folder."""
    return candidate.path.name in WHOLE and path.is_relative_to(candidate.path.parent)


def _candidate(
    runtime: str, name: str, version: str | None, path: Path, sidecar: Path, folder: Path
) -> list[Candidate]:
    """Regular files of the folder with fit names only."""
    if not NAME.fullmatch(name) or not NAME.fullmatch(version or "0"):
        return []
    try:
        status = beneath.status(path, folder)
        if not stat.S_ISREG(status.st_mode) or is_mere_text(path, folder):
            return []
        stamp = stamps(path, status, sidecar, folder)
    except OSError:
        return []
    about = mlmodel.at(path, folder) or mlmodel.MLmodel(runtime)
    refused = NotServed(about.refused) if about.refused else None
    return [Candidate(about.runtime, name, version, path, sidecar, stamp, refused, folder)]


def identify(candidate: Candidate, signature: Path | None = None) -> ModelFile:
    """Read a candidate's bytes once and name it. Raises OSError: it has gone meanwhile, or it is not to be opened.

    The key covers the signature only where there is somebody to verify it.
    """
    folder = candidate.top
    digest = digest_of(candidate.path, folder)
    version = candidate.version or digest.hexdigest()[:DIGEST_DIGITS]
    requirements = requirements_of(candidate.runtime, candidate.path, candidate.sidecar, folder)
    for mark, part in ((b"\0", candidate.sidecar), (b"\1", requirements), (b"\0", signature)):
        if part is not None and beneath.is_there(part, folder):
            digest.update(mark)
            update(digest, part, folder)
    model_key = f"{candidate.name}/{version}/{digest.hexdigest()[:DIGEST_DIGITS]}"
    return ModelFile(
        runtime=candidate.runtime,
        name=candidate.name,
        version=version,
        model_key=model_key,
        path=candidate.path.absolute(),
        sidecar=candidate.sidecar,
        size_bytes=candidate.stamp[0],
        modified=candidate.modified,
        in_version_folder=candidate.version is not None,
        stamp=candidate.stamp,
        folder=candidate.folder,
    )


def unchanged(file: ModelFile) -> bool:
    """Whether nobody has touched a model file since its key was made, so that what was read of it is what it names."""
    if file.copy is not None or file.stamp is None:
        return True
    try:
        return _stamps_now(file) == file.stamp
    except OSError:
        return False


def still_there(file: ModelFile) -> bool:
    """Whether a model file is, or is again, what its key was made from, so that reading it gives what its key names."""
    return unchanged(file) or identified_again(file) is not None


def identified_again(file: ModelFile) -> ModelFile | None:
    """A model file as it is now, if it is still, or again, what its key was made from."""
    version = file.version if file.in_version_folder else None
    try:
        stamp = _stamps_now(file)
        again = identify(
            Candidate(file.runtime, file.name, version, file.path, file.sidecar, stamp, folder=file.folder)
        )
    except OSError:
        return None
    return again if again.model_key == file.model_key else None


def _stamps_now(file: ModelFile) -> Stamp:
    folder = file.folder or file.path.parent
    return stamps(file.path, beneath.status(file.path, folder), file.sidecar, folder)
