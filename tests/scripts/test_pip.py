"""scripts/pip.sh installs locks as they stand, whatever has been published since.

The index is a folder of wheels made by hand: `pinned` 1.0, which the lock names; `asking`, which asks for
`pinned[extra]`; and `pinned` 2.0, published after the lock was made.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.tandem import ROOT
from tests.harness.wheels import wheel

PIP = ROOT / "scripts" / "pip.sh"


def hashed(index: Path, package: str, version: str) -> str:
    """The line of a lock for a wheel in the index."""
    [path] = index.glob(f"{package}-{version}-*.whl")
    return f"{package}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


class Environment:
    """An empty virtual environment that installs from a folder of wheels."""

    def __init__(self, folder: Path, empty: Path) -> None:
        self.index = folder / "index"
        self.index.mkdir()
        shutil.copytree(empty, folder / "venv", symlinks=True)
        self.python = folder / "venv" / "bin" / "python"
        self._own = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index)}

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHONPATH"))} | self._own
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    def ask(self, code: str) -> str:
        done = self.run(self.python, "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing but pip, to be copied: that is faster than making one."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=300)
    return folder


@pytest.fixture
def environment(tmp_path: Path, empty: Path) -> Environment:
    return Environment(tmp_path, empty)


@pytest.fixture
def lock(environment: Environment, tmp_path: Path) -> Path:
    """A lock that is whole, of an index that went on."""
    wheel(environment.index, "pinned", "1.0", extra="extra")
    wheel(environment.index, "asking", "1.0", requires="pinned[extra]>=1,<3")
    wheel(environment.index, "pinned", "2.0", extra="extra")
    path = tmp_path / "some.lock"
    path.write_text(hashed(environment.index, "asking", "1.0") + hashed(environment.index, "pinned", "1.0"))
    return path


def test_pip_left_to_itself_refuses_the_lock_once_a_newer_release_is_out(environment: Environment, lock: Path) -> None:
    done = environment.run(environment.python, "-m", "pip", "install", "--require-hashes", "-r", lock)
    assert done.returncode != 0
    assert "must have their versions pinned with ==" in done.stderr


def test_a_lock_is_installed_as_it_stands(environment: Environment, lock: Path) -> None:
    done = environment.run(PIP, "locked", environment.python, "-q", "-r", lock)
    assert done.returncode == 0, done.stderr
    assert environment.ask("import asking, pinned; print(asking.VERSION, pinned.VERSION)") == "1.0 1.0"
    assert environment.run(PIP, "check", environment.python).returncode == 0


def test_a_file_with_another_hash_is_not_installed(environment: Environment, lock: Path) -> None:
    wheel(environment.index, "pinned", "1.0", code="VERSION = 'not what was locked'")
    done = environment.run(PIP, "locked", environment.python, "-q", "-r", lock)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_a_lock_that_is_not_whole_is_found_by_the_check(environment: Environment, lock: Path) -> None:
    lock.write_text(hashed(environment.index, "asking", "1.0"))
    assert environment.run(PIP, "locked", environment.python, "-q", "-r", lock).returncode == 0
    checked = environment.run(PIP, "check", environment.python)
    assert checked.returncode != 0
    assert "asking 1.0 requires pinned, which is not installed" in checked.stdout


def test_what_pytorchs_build_asks_for_comes_in_its_locked_version(environment: Environment) -> None:
    locked = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "requirements-torch.lock").read_text(), re.MULTILINE))
    for name in ("filelock", "fsspec"):
        wheel(environment.index, name, locked[name])
        wheel(environment.index, name, "9999.0")
    wheel(environment.index, "torch", locked["torch"] + "+gpu", requires="filelock")
    done = environment.run(PIP, "torch", environment.python, f"torch=={locked['torch']}", "-q")
    assert done.returncode == 0, done.stderr
    assert environment.ask("import filelock; print(filelock.VERSION)") == locked["filelock"]
    assert environment.run(environment.python, "-c", "import fsspec").returncode != 0  # this build did not ask for it


INSTALLERS = ["Makefile", "docker/Dockerfile", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("scripts/*.sh"))]


@pytest.mark.parametrize("name", INSTALLERS)
def test_nothing_else_installs_from_an_index(name: str) -> None:
    lines = (ROOT / name).read_text().replace("\\\n", " ").splitlines()
    code = [line for line in lines if not line.lstrip().startswith("#")]
    found = [line for line in code if re.search(r"\bpip( -\S+)* install\b", line)]
    if name != "scripts/pip.sh":
        assert all("--no-index" in line for line in found), found
