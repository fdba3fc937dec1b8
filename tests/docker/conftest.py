"""The images, and the models that containers of them serve here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import ship
from tests.harness.ship import Container
from tests.harness.tandem import ROOT
from tests.harness.wheels import wheel

PIECES = """
import json, time, pieces

def init():
    pass

def run(raw_data):
    time.sleep(json.loads(raw_data)["seconds"])  # a slow model: something must be in flight when SIGTERM comes
    return pieces.VERSION
"""


@pytest.fixture(scope="session")
def cpu_image() -> str:
    return ship.image()


@pytest.fixture(scope="session")
def gpu_image() -> str:
    return ship.gpu_image()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, example_models: Path) -> Path:
    """A folder for /models: a model of R, of scikit-learn and of PyTorch, and a script that has requirements."""
    folder = tmp_path_factory.mktemp("models")
    folder.chmod(0o755)
    for kind, name in (("r", "mpg"), ("python", "iris_logistic"), ("python", "digits")):
        (folder / kind).mkdir(exist_ok=True)
        for path in (ROOT / f"{kind}_models").glob(f"{name}.*"):
            shutil.copy(path, folder / kind)
    script = folder / "python" / "pieces"
    script.mkdir()
    (script / "score.py").write_text(PIECES)
    (script / "requirements.txt").write_text(f"./{wheel(script, 'pieces', '3.1')}\n")
    return folder


@pytest.fixture(scope="module")
def server(cpu_image: str, models: Path) -> Iterator[Container]:
    """A container of the `cpu` image with those models."""
    with Container(cpu_image, volumes={models: "/models"}) as container:
        yield container.ready()
