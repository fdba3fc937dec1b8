"""What a model is made of: its file, or all of a script's folder, and what lies beside it.

A stamp tells without reading whether any of it has changed; a digest is of what was read.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from server.catalog import beneath, mlmodel
from server.catalog.beneath import Unopened

WHOLE = ("score.R", "score.py", mlmodel.NAME)
"""The files that make a folder a model, with everything that lies in it."""
IN_FOLDER = "model"
"""How a model file in a folder of its own is called, before its ending."""
SIGNATURE_SUFFIX = ".sig"
REQUIREMENTS = "requirements.txt"
"""What a Python model needs that the server has not, or has in another version."""

Stamp = tuple[int, ...]
"""Size, time and inode of a model file, then size and time of its sidecar, its signature and its requirements."""


def stamps(path: Path, status: os.stat_result, sidecar: Path, folder: Path) -> Stamp:
    """What changes with the model, without reading it."""
    stamp = _folder_stamp(path.parent, folder) if path.name in WHOLE else _stamp(status)
    for beside in (sidecar, signature_of(path), path.with_name(_requirements_name(path, sidecar, folder))):
        stamp += _small_stamp(beside, folder)
    return stamp


def requirements_of(runtime: str, path: Path, sidecar: Path, folder: Path | None = None) -> Path | None:
    """Where a model's requirements would lie, as far as models of its kind have any."""
    return path.with_name(_requirements_name(path, sidecar, folder)) if runtime in ("python", "script") else None


def _requirements_name(path: Path, sidecar: Path, folder: Path | None) -> str:
    """`requirements.txt` in a folder of the model's own, else as its sidecar is called: `churn.requirements.txt`."""
    # MLflow writes one for each model, MLflow itself in it. A model that needs no MLflow has its own as `model.…`.
    about = mlmodel.at(path, folder)
    if about is not None:
        return REQUIREMENTS if about.is_pyfunc else f"{IN_FOLDER}.{REQUIREMENTS}"
    alone = path.name in WHOLE or sidecar.stem == IN_FOLDER
    return REQUIREMENTS if alone else f"{sidecar.stem}.{REQUIREMENTS}"


def signature_of(path: Path) -> Path:
    """Where a model file's signature lies, if it has one."""
    return path.with_name(path.name + SIGNATURE_SUFFIX)


def _folder_stamp(folder: Path, models: Path) -> Stamp:
    stamps = [_stamp(_status(path, models)) for path in files_in(folder, models)]
    return sum(s[0] for s in stamps), max((s[1] for s in stamps), default=0), len(stamps)


def files_in(folder: Path, models: Path) -> list[Path]:
    """The files of a script's folder in a model folder, at any depth, in order; not what Python compiles by itself.

    Links to files are among them, also those that lead out; not what lies in folders that are links. Raises OSError.
    """
    signatures = {signature_of(folder / name) for name in WHOLE}
    found: list[Path] = []
    left = [folder]
    while left:
        here = left.pop()
        for name, kind in _listed(here, models):
            path = here / name
            if kind == "folder":
                left.append(path)
            elif kind == "file" or (kind == "link" and beneath.is_there(path, models)):
                found.append(path)
    return sorted(path for path in found if path not in signatures)


def _listed(folder: Path, models: Path) -> list[tuple[str, str]]:
    try:
        return [(name, kind) for name, kind in beneath.listed(folder, models) if name != "__pycache__"]
    except PermissionError:
        return []  # the model cannot read it either


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _small_stamp(path: Path, folder: Path) -> Stamp:
    try:
        status = _status(path, folder)
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _status(path: Path, folder: Path) -> os.stat_result:
    """The status of a file; of a link that leads out of the folder the link's own, for what lies there is not asked."""
    try:
        return beneath.status(path, folder)
    except Unopened:
        return path.lstat()


def digest_of(path: Path, folder: Path) -> hashlib._Hash:
    """Digest of a model: of the file's bytes, or, for a script, of the names and bytes of every file in its folder."""
    if path.name not in WHOLE:
        return update(hashlib.sha256(), path, folder)
    digest = hashlib.sha256()
    for part in files_in(path.parent, folder):
        digest.update(os.fsencode(part.relative_to(path.parent)))  # a name need not be text
        digest.update(f"\0{update(hashlib.sha256(), part, folder).hexdigest()}\n".encode())
    return digest


def update(digest: hashlib._Hash, path: Path, folder: Path) -> hashlib._Hash:
    """Add a file's bytes to a digest, piece by piece: it may be of any size."""
    for piece in beneath.pieces(path, folder):
        digest.update(piece)
    return digest
