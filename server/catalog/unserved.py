"""What lies in a model folder and is not served: each thing is told, with what to do about it.

What commonly lies beside models (sidecars, signatures, notes, tables, programs, `train/`, hidden files, files under a
name that says that they are being written) is left alone. Nothing but a `.txt` is opened here: names, and what kind of
thing has them, tell enough.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import Path

from server.catalog import beneath, mlmodel
from server.catalog.beneath import LEADS_OUT
from server.catalog.files import (
    DIGEST_DIGITS,
    NAME,
    PYTHON_FILES,
    R_FILES,
    Candidate,
    Kinds,
    ModelFile,
    NotServed,
    ending_of,
)
from server.catalog.listing import BESIDE, Listing
from server.catalog.parts import IN_FOLDER, WHOLE, Stamp
from server.catalog.texts import is_mere_text

NO_VERSION = "-"
"""The version of what is told to be no model: it has none."""
ALL: Kinds = {**R_FILES, **PYTHON_FILES}
MOST_DATED = 1000
"""How many files of a folder that is no model are asked when they were written; of more files the rest is not asked."""


_KERAS = "Tandem does not run TensorFlow; convert the model to ONNX (with tf2onnx), or serve it by a scoring script"
_WEIGHTS = "it holds a PyTorch model's weights without the program; save the model with torch.export.save as NAME.pt2"
_DATA = "it holds data, no model; keep it elsewhere, or in a folder called train"
_CODE = (
    "code beside models is not run; a scoring script is a folder NAME with a file {score}, and other code lies in it"
)
_PACKED = "an archive is not opened; unpack it, and copy the model file that is in it"
_TEXT = (
    "a .txt file is served if LightGBM's save_model() wrote it, so that its first line is 'tree', and this one is "
    "something else"
)
_QS = "saved with the package qs; read it there and save it with saveRDS(model, 'NAME.rds')"
CURES: dict[str, str] = {
    **dict.fromkeys((".h5", ".hdf5", ".keras", ".pb", ".tflite"), _KERAS),
    **dict.fromkeys((".pth", ".pth.tar", ".ckpt", ".safetensors", ".bin"), _WEIGHTS),
    **dict.fromkeys((".csv", ".tsv", ".parquet", ".feather", ".arrow", ".xlsx", ".xls", ".sas7bdat", ".npy"), _DATA),
    **dict.fromkeys((".npz", ".db", ".sqlite", ".jsonl"), _DATA),
    **dict.fromkeys((".py", ".r", ".ipynb", ".rmd", ".qmd"), _CODE),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z"), _PACKED),
    **dict.fromkeys((".qs", ".qs2", ".qdata"), _QS),
    ".yml": "a sidecar's name ends in .yaml; rename it",
    ".pmml": "Tandem does not read PMML; save the model itself, or export it as ONNX",
    ".mojo": "H2O's models need Java; serve one by a scoring script, or export it in another form",
    ".dill": "save the model with joblib.dump(model, 'NAME.joblib')",
    ".cloudpickle": "it is a pickle under another name; rename it to NAME.pkl",
}
"""Endings that people try, with what to do."""
_LIKE_MODELS = frozenset(CURES) - {e for e, cure in CURES.items() if cure in (_DATA, _CODE, _PACKED)} - {".yml", ".bin"}
_OFTEN_ELSE = ".json"
"""The ending of models and of much else: in a model's folder, or among those of R, it is no sign of a model."""


def unserved(
    folder: Path,
    kinds: Kinds,
    found: Iterable[Candidate],
    others: Collection[Path] = (),
    listing: Listing | None = None,
) -> list[Candidate]:
    """What lies in a model folder and is not one of the models `found` in it; `others` are model folders too."""
    listing = listing or Listing(folder)
    models = {one.path: one for one in found}
    inside: dict[Path, dict[Path, Candidate]] = {}
    for path, one in models.items():
        inside.setdefault(folder / path.relative_to(folder).parts[0], {})[path] = one
    unserved: list[Candidate] = []
    for entry in listing.entries(folder):
        if _beside(entry, folder) or any(other.is_relative_to(entry) for other in others):
            continue
        if entry in models:
            continue
        if _is_dir(entry, folder):
            unserved += _in(entry, kinds, inside.get(entry, {}), listing)
        else:
            unserved += _refused(entry, entry.name, None, file_refused(entry, kinds, folder))
    return unserved


def _in(folder: Path, kinds: Kinds, models: dict[Path, Candidate], listing: Listing) -> list[Candidate]:
    """What a model's own folder, or those of its versions, hold beside the models."""
    top = listing.folder
    if not listing.every(folder):
        return []  # somebody is about to fill it
    if not NAME.fullmatch(folder.name):
        return _refused(folder, folder.name, None, _UNFIT)
    if mlmodel.NAME not in kinds and _is_file(folder / mlmodel.NAME, top):
        return _refused(folder, folder.name, None, _MLFLOW)
    served = {path.parent: path.name for path in models}
    if served.get(folder) in WHOLE:
        return []
    unserved = _leftovers(folder, None, kinds, served.get(folder), listing)
    for version in listing.entries(folder):
        whole = served.get(version) in WHOLE
        if whole or _beside(version, top):
            continue
        if _is_dir(version, top):
            unserved += _leftovers(version, version.name, kinds, served.get(version), listing)
        elif beneath.kind(version, top) == "out" and not _like_one(version.name):
            unserved += _refused(version, folder.name, version.name, NotServed(f"it is {LEADS_OUT}"))
    return unserved if unserved or models else _refused(folder, folder.name, None, _no_model(folder, kinds, top))


def _leftovers(
    folder: Path, version: str | None, kinds: Kinds, served: str | None, listing: Listing
) -> list[Candidate]:
    """The files in a model's or a version's folder that look like models, but for the one that is `served`."""
    name = folder.name if version is None else folder.parent.name
    top = listing.folder
    unserved: list[Candidate] = []
    for path in listing.leftovers(folder):
        if path.name == served or not _like_one(path.name) or _beside(path, top) or _is_dir(path, top):
            continue
        unserved += _refused(path, name, version, _leftover(path, version, kinds, served, top))
    return unserved


def _beside(path: Path, top: Path) -> bool:
    """Whether it is what commonly lies beside models; any text is that LightGBM did not write."""
    return bool(BESIDE.fullmatch(path.name)) or (_is_file(path, top) and is_mere_text(path, top))


def _like_one(name: str) -> bool:
    ending = ending_of(name, {**ALL, **dict.fromkeys(_LIKE_MODELS, "")})
    return name in WHOLE or ending not in (None, _OFTEN_ELSE)


def _leftover(path: Path, version: str | None, kinds: Kinds, served: str | None, top: Path) -> NotServed:
    ending = ending_of(path.name, kinds)
    if version is not None and not NAME.fullmatch(version):
        return _UNFIT
    if ending is None or not _is_file(path, top):
        return file_refused(path, kinds, top)
    if served is not None:
        return NotServed(f"the model of this folder is {served}, and a folder has one; keep one of the two files")
    return NotServed(f"in a folder of its own a model file is called {IN_FOLDER}{ending}; rename it, or move it up")


def _no_model(folder: Path, kinds: Kinds, top: Path) -> NotServed:
    names = {path.name for path in Listing(top).every(folder)}
    if {"saved_model.pb", "keras_metadata.pb"} & names:
        return NotServed(_KERAS)
    known = ", ".join(f"{IN_FOLDER}{kind}" if kind[0] == "." else kind for kind in _plain(kinds))
    return NotServed(
        f"the folder holds no model; a folder NAME, or NAME/VERSION, is served if it has one of {known} in it. "
        "Keep what is no model elsewhere, or in a folder called train"
    )


_MLFLOW = NotServed("an MLflow model is served from the folder of Python models; move the folder there")
_UNFIT = NotServed(
    "a name that is part of an address has letters, digits, '.', '_' and '-', begins with a letter or a digit, and has "
    "100 characters at most; rename it"
)


def not_served(path: Path) -> NotServed:
    """Why nothing is served of something that lies in no model folder."""
    top = path.parent
    return _no_model(path, ALL, top) if _is_dir(path, top) else file_refused(path, ALL, top)


def file_refused(path: Path, kinds: Kinds, top: Path) -> NotServed:
    """Why a file that lies in a model folder, among models of these kinds, is not served."""
    if not _is_file(path, top):
        return NotServed(_what(path, top))
    ending = ending_of(path.name, kinds)
    if is_mere_text(path, top):
        return NotServed(_TEXT)
    if path.name in kinds and path.name == mlmodel.NAME:
        return NotServed("an MLflow model is a folder; keep the file in one, NAME/MLmodel, with all that MLflow wrote")
    if ending is not None:
        return _UNFIT
    elsewhere = ending_of(path.name, ALL)
    if elsewhere not in (None, _OFTEN_ELSE) or (path.name in WHOLE and path.name not in kinds):
        kind = "R" if ALL[elsewhere or path.name] == "r" else "Python"
        return NotServed(f"a {elsewhere or path.name} file is served from the folder of {kind} models; move it there")
    known = ", ".join(kind for kind in _plain(kinds) if kind[0] == ".")
    cured = ending_of(path.name, dict.fromkeys(CURES, ""))
    if cured is not None:
        score = next(kind for kind in kinds if kind in WHOLE)
        return NotServed(f"a {cured} file is not served: {CURES[cured].format(score=score)}")
    return NotServed(
        f"the name does not end as a model file's does; known are {known}. Keep what is no model elsewhere"
    )


def _plain(kinds: Kinds) -> list[str]:
    """The kinds without those that only say that a file is compressed."""
    return [kind for kind in kinds if kind.rfind(".") <= 0 or kind in WHOLE]


def _what(path: Path, top: Path) -> str:
    kind = beneath.kind(path, top)
    if kind == "out":
        return f"it is {LEADS_OUT}"
    if kind == "nothing":
        return "it is a link that leads to no file; copy the file itself"
    return "it is no file but a pipe, a socket or a device, and such are never opened; copy a file"


def _is_dir(path: Path, top: Path) -> bool:
    return beneath.kind(path, top) == "folder"


def _is_file(path: Path, top: Path) -> bool:
    return beneath.kind(path, top) == "file"


def too_many(folder: Path, limit: int) -> Candidate:
    """What is told of all that lies in a model folder beyond the limit."""
    reason = (
        f"there are more than {limit} files and folders in the model folder {folder.name}, and the rest is not read: "
        "what serves stays, then come the oldest. Take out what is no model, or raise TANDEM_MAX_MODELS"
    )
    return Candidate("", printable(folder.name), None, folder, folder, (0,) * 9, NotServed(reason))


def model_file(candidate: Candidate, refused: NotServed) -> ModelFile:
    """A candidate that is refused as it is, unread."""
    version = candidate.version or NO_VERSION
    seen = hashlib.sha256(os.fsencode(candidate.path) + repr(candidate.stamp).encode()).hexdigest()
    return ModelFile(
        runtime=candidate.runtime,
        name=candidate.name,
        version=version,
        model_key=f"{candidate.name}/{version}/{seen[:DIGEST_DIGITS]}",
        path=candidate.path.absolute(),
        sidecar=candidate.sidecar,
        size_bytes=candidate.stamp[0],
        modified=candidate.modified,
        in_version_folder=candidate.version is not None,
        refused=refused,
    )


def _refused(path: Path, name: str, version: str | None, refused: NotServed) -> list[Candidate]:
    """A candidate that is refused; nothing if it has gone meanwhile."""
    try:
        status = path.lstat()
    except OSError:
        return []
    stem = name if version is not None or path.name != name or stat.S_ISDIR(status.st_mode) else _stem(name)
    stamp: Stamp = (status.st_size, status.st_mtime_ns, status.st_ino, 0, 0, 0, 0)
    if stat.S_ISDIR(status.st_mode):
        stamp = (0, _written(path, status.st_mtime_ns), *stamp[2:])
    return [Candidate("", printable(stem), version and printable(version), path, path, stamp, _shared(refused))]


@lru_cache(maxsize=256)
def _shared(refused: NotServed) -> NotServed:
    """The same by one object: very many files have the same reason."""
    return refused


def _written(folder: Path, own: int) -> int:
    """When something last came into a folder or one of its folders."""
    times = [own]
    for path in Listing(folder, MOST_DATED).entries(folder):
        try:
            times.append(path.lstat().st_mtime_ns)
        except OSError:
            continue
    return max(times)


def _stem(name: str) -> str:
    ending = ending_of(name, {**ALL, **dict.fromkeys(CURES, "")}) or Path(name).suffix
    return name[: len(name) - len(ending)] or name


def printable(name: str) -> str:
    """A name as it may stand in an address and on a page, whatever bytes it is made of."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip("._-")[:100] or "unnamed"
