"""`tandem check PATH`: what would happen if this file were dropped. An engine opens it, as a server would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from server.catalog import signatures
from server.catalog.beneath import Unopened
from server.catalog.files import (
    NOT_SERVED,
    PYTHON_FILES,
    R_FILES,
    Candidate,
    Kinds,
    ModelFile,
    NotServed,
    candidate_at,
    candidates,
    is_part,
)
from server.catalog.parts import WHOLE
from server.catalog.unserved import not_served, unserved
from server.config import Settings
from server.engine import CannotStart, Engine
from server.run_folder import RunFolder
from server.wire.snapshot import Entry

LEVELS_SHOWN = 20
"""How many levels of a factor are printed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a check: the text to print, and whether the file would serve."""

    accepted: bool
    text: str


def each(paths: Sequence[Path], settings: Settings) -> Iterator[Path]:
    """What there is to check: the paths, and in place of a folder of models whatever lies in it."""
    for path in paths:
        yield from _listed(path, _kinds_of(path, settings)) or [path]


def _listed(path: Path, kinds: Kinds) -> list[Path]:
    """The models of a folder, and what is not served of it. None if it is no folder of models."""
    if not path.is_dir() or candidate_at(path) is not None:
        return []
    models = candidates(path, kinds)
    return sorted(one.path for one in (*models, *unserved(path, kinds, models))) if models else []


def _kinds_of(path: Path, settings: Settings) -> Kinds:
    own = {settings.r_models.absolute(): R_FILES, settings.python_models.absolute(): PYTHON_FILES}
    return own.get(path.absolute(), {**R_FILES, **PYTHON_FILES})


async def check(file: Path, settings: Settings) -> Verdict:
    """Open one file as a server would, and say what becomes of it."""
    if not file.exists():
        return Verdict(False, f"{file}: no such file")
    found = _found(file.absolute(), settings)
    if isinstance(found, NotServed):
        return Verdict(False, _refused(file, found.code, found.reason))
    keys = signatures.trusted_keys(settings.model_signatures, settings.signature_key)
    with RunFolder() as folder:
        identify = signatures.identifier(settings.model_signatures, keys, folder.path, lambda outcome: None)
        try:
            settled = identify(found)
            entry = await _opened(settled, settings, folder)
        except Unopened as e:
            return Verdict(False, _refused(file, NOT_SERVED, e.text))
        except CannotStart as e:
            return Verdict(False, _refused(file, "load_failed", str(e)))
    return Verdict(entry.state == "ready", _described(file, settled, entry))


def _found(path: Path, settings: Settings) -> Candidate | NotServed:
    """The model that a path leads to, in a model folder or elsewhere; else why it is none."""
    for folder, kinds in ((settings.r_models, R_FILES), (settings.python_models, PYTHON_FILES)):
        top = folder.absolute()
        if path != top and path.is_relative_to(top):
            models = candidates(top, kinds)
            for one in (*models, *unserved(top, kinds, models)):
                if one.path == path or (path.is_dir() and one.path.parent == path) or is_part(path, one):
                    return one.refused or one
    found = candidate_at(path)
    return not_served(path) if found is None else found.refused or found


async def _opened(settled: ModelFile, settings: Settings, folder: RunFolder) -> Entry:
    # It need not lie in a model folder, and what lies beside it is no business of a model's.
    own = settled.path.parent if settled.path.name in WHOLE else settled.path
    settings = settings.model_copy(update={"r_models": own, "python_models": own})
    async with Engine(settings, cores=1, folder=folder) as engine:
        await engine.open([settled])
        return engine.entries[0]


def _described(file: Path, settled: ModelFile, entry: Entry) -> str:
    if entry.state != "ready":
        return _refused(file, entry.code, entry.reason)
    assert entry.schema is not None
    lines = [
        f"{file}: would be served as {entry.name}, version {entry.version}",
        f"  class    {entry.model_class}"
        + (f" (package {entry.package} {entry.package_version})" if entry.package else ""),
        *(f"  input    {_input(i)}" for i in entry.schema["inputs"]),
        *(f"  output   {o['name']}: {o['type']}" for o in entry.schema["outputs"]),
        f"  example  {orjson.dumps(entry.example or {}).decode()}",
        f"  batched  {'yes' if entry.rowwise else 'no'}: {entry.batch_reason}",
        *([f"  process  of its own: {entry.isolated}"] if entry.isolated else []),
        f"  golden   {entry.golden_rows} rows checked",
        *(f"  signed   by the key {key}" for key in _signed_by(settled)),
        *(f"  warning  {text}" for text in entry.load_warnings),
    ]
    return "\n".join(lines)


def _refused(file: Path, code: str | None, reason: str | None) -> str:
    return f"{file}: would be refused ({code})\n  {reason}".replace("\n", "\n  ")


def _signed_by(settled: ModelFile) -> list[str]:
    """The key, where it was looked at; a model without a good signature has a warning instead."""
    return [settled.signed.text] if settled.signed is not None and settled.signed.outcome == "verified" else []


def _input(spec: Mapping[str, Any]) -> str:
    levels = spec.get("levels") or ()
    more = f" and {len(levels) - LEVELS_SHOWN} more" if levels[LEVELS_SHOWN:] else ""
    shown = f" ({', '.join(levels[:LEVELS_SHOWN])}{more})" if levels else ""
    return f"{spec['name']}: {spec['type']}{shown}{'' if spec['na'] else ', no missing values'}"
