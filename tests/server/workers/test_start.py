"""Entering a model's environment: after the lock, and with what site would have given, but for its hooks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from server.workers import start
from tests.harness.tandem import ROOT

LOCKED = """
import argparse, sys
from pathlib import Path
sys.path.append(sys.argv[1])
from server.workers import start
from server.machine import sandbox
sandbox.available = lambda: sandbox.Level(0, False)
folder = Path(sys.argv[2])
given = argparse.Namespace(
    environment=folder / "environment", own=[sys.argv[3]], sandbox=sys.argv[4], models=[], scratch=folder
)
lock = start._locked(given)
print("entered" if str(start.packages_of(given.environment)) in sys.path else "not entered", end=", ")
try:
    print(lock(None))
except sandbox.SandboxFailed as e:
    print(e)
"""
ENTERED = """
import sys
from pathlib import Path
sys.path.append(sys.argv[1])
from server.workers import start
start.enter(Path(sys.argv[2], "environment"), [sys.argv[3]])
{code}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An environment whose hooks say so when they are run, and a folder of the server's own packages."""
    packages = start.packages_of(tmp_path / "environment")
    packages.mkdir(parents=True)
    (tmp_path / "own").mkdir()
    (packages / "shade.py").write_text("VERSION = 'theirs'")
    (tmp_path / "own" / "shade.py").write_text("VERSION = 'ours'")
    (tmp_path / "own" / "only.py").write_text("VERSION = 'ours'")
    (packages / "shade.pth").write_text("import sys; print('path file', end=', ')\n")
    (packages / "sitecustomize.py").write_text("print('customized', end=', ')")
    return tmp_path


def said(folder: Path, code: str, *arguments: str) -> str:
    given = [str(ROOT), str(folder), str(folder / "own"), *arguments]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *given], capture_output=True, text=True, timeout=60, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_where_a_lock_is_required_and_cannot_be_had_nothing_of_the_environment_runs(folder: Path) -> None:
    assert said(folder, LOCKED, "require") == "not entered, there is none"
    assert said(folder, LOCKED, "off") == "path file, entered, off"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("import shade, only; print(shade.VERSION, only.VERSION)", "theirs ours"),
        ("print(Path(sys.prefix).name, [Path(p).name for p in sys.path[-2:]])", f"environment ['own', '{ROOT.name}']"),
        ("print('sitecustomize' in sys.modules)", "False"),
        ("exit()", ""),
    ],
)
def test_the_environments_packages_come_before_the_servers(folder: Path, code: str, outcome: str) -> None:
    assert said(folder, ENTERED.format(code=code)) == f"path file, {outcome}".strip()
