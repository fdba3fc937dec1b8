"""The runtime that loads PyTorch models as a worker would, and a few files for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from server.workers.torch.runtime import TorchRuntime
from tests.harness.tandem import ROOT
from tests.server.workers.torch.models import Net, Served, export, seeded, spec_of


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> TorchRuntime:
    started = TorchRuntime()
    started.start()
    started.after_fork(1, tmp_path_factory.mktemp("scratch"), 0)
    return started


@pytest.fixture
def served(runtime: TorchRuntime) -> Callable[..., Served]:
    """Describes a file as a probe does and loads it as a worker does."""

    def load(path: Path, side: str = "", **changed: Any) -> Served:
        description = runtime.describe(replace(spec_of(path, side), **changed))
        return runtime.load(replace(spec_of(path, side, description), **changed)), description

    return load


@pytest.fixture(scope="session")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("net") / "net.pt2", seeded(Net), torch.zeros(2, 1, 8, 8))


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example model, trained by its own script; what that printed is in `said`."""
    folder = tmp_path_factory.mktemp("digits")
    command = [sys.executable, str(ROOT / "python_models/train/digits.py"), "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout)
    return folder
