"""The example networks as measurements need them: made where they are missing, with sidecars that differ a little."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.harness import ROOT, BenchmarkError
from benchmarks.peers.scoring import Ranking
from server.catalog import sidecar

MODELS = ROOT / "python_models"


@dataclass(frozen=True, slots=True)
class Network:
    """A model file where a Tandem finds it, and what its sidecar says, as peers get it."""

    file: Path
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.file.stem

    def called_directly(self) -> Ranking:
        return Ranking(self.file, self.settings)


def placed(folder: Path, name: str, device: str, more: Mapping[str, Any] | None = None, **how: Any) -> Network:
    """An example network in a Tandem's folder; `more` replaces parts of its sidecar, `how` of the sidecar's `torch`.

    It ranks only the first: further down there are ties that the last digits decide.
    """
    source = _made(name, folder)
    file = folder / "python_models" / source.name
    file.parent.mkdir(exist_ok=True)
    shutil.copy(source, file)
    said = yaml.safe_load(source.with_suffix(".yaml").read_bytes())
    said |= {"torch": said["torch"] | {"top_k": 1} | how, **(more or {})}
    file.with_suffix(".yaml").write_text(yaml.safe_dump(said))
    settings = sidecar.read(file.with_suffix(".yaml"), "torch").model_dump(mode="json", include={"image", "torch"})
    return Network(file, settings | {"device": device, "threads": 1})


def _made(name: str, folder: Path) -> Path:
    """The example's file; where nobody has made it, it is made for this run."""
    kept = MODELS / f"{name}.pt2"
    if kept.exists():
        return kept
    made = folder / "made"
    made.mkdir(exist_ok=True)
    command = [sys.executable, str(MODELS / "train" / f"{name}.py"), "--folder", str(made)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"python_models/train/{name}.py failed: {done.stderr[-1000:]}")
    return made / kept.name
