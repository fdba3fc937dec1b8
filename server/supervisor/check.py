"""`tandem check FILE`: what would happen if this file were dropped, told by the probe that would look at it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from server.catalog.files import PYTHON_FILES, R_FILES, SCRIPTS, Candidate, identify
from server.catalog.snapshot import Entry
from server.config import Settings
from server.supervisor.pool import Pool
from server.supervisor.pools import plan, script_plan


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to tell, and whether the file would serve."""

    accepted: bool
    text: str


async def check(file: Path, settings: Settings) -> Verdict:
    """Probe one file as a pool would."""
    kinds = {**R_FILES, **PYTHON_FILES}
    runtime = kinds.get(file.name) or kinds.get(file.suffix)
    if runtime is None:
        return Verdict(False, f"{file}: not a model file; known are {', '.join(kinds)}")
    if not file.is_file():
        return Verdict(False, f"{file}: no such file")
    with tempfile.TemporaryDirectory(prefix="tandem-") as run_dir:
        entry = await _probe(file, runtime, settings, Path(run_dir))
    return Verdict(entry.state == "ready", _told(file, entry))


async def _probe(file: Path, runtime: str, settings: Settings, run_dir: Path) -> Entry:
    status = file.stat()
    stamp = (status.st_size, status.st_mtime_ns, status.st_ino, 0, 0)
    in_folder = file.name == f"model{file.suffix}"
    script = file.name in SCRIPTS
    folder = file.absolute().parent
    found = Candidate(
        runtime=runtime,
        name=folder.name if script else folder.parent.name if in_folder else file.stem,
        version=folder.name if in_folder else None,
        path=file.absolute(),
        sidecar=folder / "model.yaml" if script else file.with_suffix(".yaml"),
        stamp=stamp,
    )
    settled = identify(found)
    only = script_plan(runtime, settled, settings, 1) if runtime == "script" else plan(runtime, settings, 1)
    pool = Pool(only, run_dir, settings, publish=_nobody, on_worker_end=lambda pool, reason: None)
    try:
        await pool.examine_only(settled)
    finally:
        await pool.stop()
    return pool.entries()[0]


async def _nobody() -> None:
    """There is nobody to publish to."""


def _told(file: Path, entry: Entry) -> str:
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
        f"  golden   {entry.golden_rows} rows checked",
        *(f"  warning  {text}" for text in entry.load_warnings),
    ]
    return "\n".join(lines)


def _input(spec: Mapping[str, Any]) -> str:
    levels = f" ({', '.join(spec['levels'])})" if spec.get("levels") else ""
    return f"{spec['name']}: {spec['type']}{levels}{'' if spec['na'] else ', no missing values'}"
