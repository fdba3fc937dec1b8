"""What of a file or folder makes a version: the model file, its sidecar, requirements and signature, under fixed names.

A bare file `diabetes.rds` becomes `model.rds`, so that a version is served from a folder of its own. A script, or a
folder of MLflow, keeps its names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlops.registry.errors import RegistryError
from mlops.registry.record import File
from server.catalog import beneath, sidecar
from server.catalog.files import PYTHON_FILES, R_FILES, Candidate, candidate_at, ending_of
from server.catalog.parts import IN_FOLDER, REQUIREMENTS, WHOLE, signature_of
from server.catalog.sidecar import SidecarError

SMALL_BYTES: Final = 1 << 20
MOST_FILES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Contents:
    """The files that a version will have, and where each lies now."""

    runtime: str
    files: tuple[File, ...]
    paths: Mapping[str, Path]


def contents_of(path: Path) -> Contents:
    """What would be registered of a model file, of a version's folder, or of a script's. Raises RegistryError."""
    candidate = candidate_at(path) if path.exists() else None
    if candidate is None:
        raise RegistryError(
            "bad_version", f"{path.name}: not a model file, nor the folder of one version or one script"
        )
    if candidate.refused is not None:
        raise RegistryError("bad_version", f"{path.name}: {candidate.refused.reason}")
    try:
        sidecar.read(candidate.sidecar, candidate.runtime, candidate.folder)
        parts = _parts(candidate)
        files = tuple(_file(name, part, candidate.top) for name, part in sorted(parts.items()))
    except (SidecarError, OSError) as e:
        raise RegistryError("bad_version", f"{path.name}: {e}") from e
    return Contents(candidate.runtime, files, parts)


def _parts(candidate: Candidate) -> dict[str, Path]:
    signature = signature_of(candidate.path)
    signed = {signature.name: signature} if beneath.is_there(signature, candidate.top) else {}
    if candidate.path.name in WHOLE:
        if len(candidate.parts) > MOST_FILES:
            raise RegistryError("bad_version", f"a version has at most {MOST_FILES} files")
        return candidate.parts | signed
    ending = ending_of(candidate.path.name, {**R_FILES, **PYTHON_FILES}) or candidate.path.suffix
    name = f"{IN_FOLDER}{ending}"
    if signed and candidate.path.name != name:
        text = f"its signature is of a file called {candidate.path.name}, and a version's is called {name}"
        raise RegistryError("bad_version", f"{candidate.path.name}: {text}; give it that name, and sign it again")
    named = {candidate.path: name, candidate.sidecar: f"{IN_FOLDER}.yaml"}
    return {named.get(part, REQUIREMENTS): part for part in candidate.parts.values()} | signed


def _file(name: str, path: Path, folder: Path) -> File:
    digest, size = hashlib.sha256(), 0
    for piece in beneath.pieces(path, folder):
        digest.update(piece)
        size += len(piece)
    return File(name, digest.hexdigest(), size)
