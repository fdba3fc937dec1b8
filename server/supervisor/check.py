"""`tandem check FILE`: what would happen if this file were dropped, told by the probe that would look at it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from server.catalog.files import PYTHON_FILES, R_FILES, ModelFile, candidate_at
from server.catalog.snapshot import Entry
from server.config import Settings
from server.supervisor import signatures
from server.supervisor.pool import Pool
from server.supervisor.pools import Wish, own_plan, plan, wish_of


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to tell, and whether the file would serve."""

    accepted: bool
    text: str


async def check(file: Path, settings: Settings) -> Verdict:
    """Probe one file as a pool would."""
    if not file.exists():
        return Verdict(False, f"{file}: no such file")
    candidate = candidate_at(file)
    if candidate is None:
        known = ", ".join({**R_FILES, **PYTHON_FILES})
        return Verdict(False, f"{file}: not a model file; known are {known}")
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        run_dir = Path(folder)
        keys = signatures.trusted_keys(settings)
        settled = signatures.identifier(settings, keys, run_dir, on_signature=lambda outcome: None)(candidate)
        entry = await _probe(settled, settings, run_dir)
    return Verdict(entry.state == "ready", _told(file, settled, entry))


async def _probe(settled: ModelFile, settings: Settings, run_dir: Path) -> Entry:
    wish, runtime = wish_of(settled) or Wish(), settled.runtime
    only = own_plan(runtime, settled, wish, settings) if runtime == "script" else plan(runtime, settings, 1)
    folder = settled.path.parent  # it need not be one of the model folders
    settings = settings.model_copy(update={"r_models": folder, "python_models": folder})
    pool = Pool(only, run_dir, settings, publish=_nobody, on_worker_end=lambda pool, reason: None)
    try:
        await pool.examine_only(settled)
    finally:
        await pool.stop()
    return pool.entries()[0]


async def _nobody() -> None:
    """There is nobody to publish to."""


def _told(file: Path, settled: ModelFile, entry: Entry) -> str:
    if entry.state != "ready":
        return f"{file}: would be refused ({entry.code})\n  {entry.reason}".replace("\n", "\n  ")
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


def _signed_by(settled: ModelFile) -> list[str]:
    """The key, where it was looked at; a model without a good signature has a warning instead."""
    return [settled.signed.text] if settled.signed is not None and settled.signed.outcome == "verified" else []


def _input(spec: Mapping[str, Any]) -> str:
    levels = f" ({', '.join(spec['levels'])})" if spec.get("levels") else ""
    return f"{spec['name']}: {spec['type']}{levels}{'' if spec['na'] else ', no missing values'}"
