"""A model's requirements: installed once into an environment of their own, which ends in the server's packages."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from server.config import Settings
from server.supervisor.environment import EnvironmentFailed
from server.supervisor.requirements import STAMP, interpreter
from tests.wheels import wheel


def settings(folder: Path, install_timeout_s: float = 120.0) -> Settings:
    return Settings(data=folder / "data", install_timeout_s=install_timeout_s)


def script(folder: Path, *lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "requirements.txt").write_text("\n".join(["--no-index", *lines]) + "\n")
    return folder / "requirements.txt"


def run(python: Path, code: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True, timeout=60, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ask(requirements: Path, settings: Settings, runtime: str = "script") -> Path:
    return asyncio.run(interpreter(requirements, settings, runtime))


def processes_that_name(folder: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in command:
            found.append(command.decode())
    return found


def test_without_requirements_it_is_the_servers_own(tmp_path: Path) -> None:
    assert ask(tmp_path / "requirements.txt", settings(tmp_path)) == Path(sys.executable)
    assert not (tmp_path / "data").exists()


def test_requirements_that_tandem_cannot_run_with_are_refused_and_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    name = wheel(folder, "threadpoolctl", "0.1", code='raise ImportError("older than this program needs")\n')
    requirements = script(folder, f"./{name}")
    for _ in range(2):
        with pytest.raises(
            EnvironmentFailed, match=r"cannot run with these requirements.*older than this program needs"
        ):
            ask(requirements, settings(tmp_path), "python")
    assert ask(requirements, settings(tmp_path), "script") != Path(sys.executable)


PROBE = """
import sys, shade, pluggy
import server.workers.template, server.workers.script.runtime
print(shade.VERSION, pluggy.VERSION, sys.prefix)
"""


def test_what_is_required_comes_first_and_the_server_is_found_behind_it(tmp_path: Path) -> None:
    folder = tmp_path / "script"
    folder.mkdir()
    wheels = [wheel(folder, "shade", "1.0"), wheel(folder, "pluggy", "0.0.1")]  # pluggy the server has, too
    requirements = script(folder, *(f"./{name}" for name in wheels))

    async def ask_twice() -> list[Path]:
        return await asyncio.gather(*(interpreter(requirements, settings(tmp_path), "script") for _ in range(2)))

    first, second = asyncio.run(ask_twice())
    assert first == second
    environment = first.parent.parent
    assert run(first, PROBE) == f"1.0 0.0.1 {environment}"
    assert sorted(path.name for path in folder.iterdir()) == sorted(["requirements.txt", *wheels])
    stamp = (environment / STAMP).stat().st_mtime_ns
    assert ask(requirements, settings(tmp_path)) == first
    assert (environment / STAMP).stat().st_mtime_ns == stamp
    # The text is the same, but not what it names; and what was left half made is no environment.
    wheel(folder, "shade", "1.0", 'VERSION = "1.0 again"\n')
    (environment / STAMP).unlink()
    rebuilt = ask(requirements, settings(tmp_path))
    assert rebuilt != first
    assert run(rebuilt, PROBE).startswith("1.0 again 0.0.1")


def lock(folder: Path, *packages: str) -> Path:
    """A script whose requirements.txt has hashes, in an index where one of what it names has a newer release."""
    folder.mkdir()
    names = {"pinned": wheel(folder, "pinned", "1.0", extra="x")}
    names["asking"] = wheel(folder, "asking", "1.0", requires="pinned[x]<3")
    wheel(folder, "pinned", "2.0", extra="x")
    sums = {package: hashlib.sha256((folder / names[package]).read_bytes()).hexdigest() for package in packages}
    lines = [f"{package}==1.0 --hash=sha256:{sums[package]}" for package in packages]
    return script(folder, "--find-links=.", *lines)


def test_a_lock_is_installed_as_it_stands_whatever_was_published_since(tmp_path: Path) -> None:
    python = ask(lock(tmp_path / "script", "asking", "pinned"), settings(tmp_path))
    assert run(python, "import asking, pinned; print(asking.VERSION, pinned.VERSION)") == "1.0 1.0"


def test_a_lock_that_lacks_a_package_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailed, match=r"asking 1.0 requires pinned, which is not installed.$"):
        ask(lock(tmp_path / "script", "asking"), settings(tmp_path))


def test_a_lock_may_be_included(tmp_path: Path) -> None:
    requirements = lock(tmp_path / "script", "asking", "pinned")
    requirements.rename(requirements.with_name("all.lock"))
    python = ask(script(tmp_path / "script", "-r all.lock"), settings(tmp_path))
    assert run(python, "import pinned; print(pinned.VERSION)") == "1.0"


def test_what_cannot_be_installed_is_told_in_pips_words(tmp_path: Path) -> None:
    requirements = script(tmp_path / "script", "nothing-of-this-name==1.0")
    with pytest.raises(EnvironmentFailed) as failed:
        ask(requirements, settings(tmp_path))
    told = "the requirements cannot be installed: No matching distribution found for nothing-of-this-name==1.0"
    assert str(failed.value) == told
    assert not list(tmp_path.rglob(STAMP))


def test_an_installation_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    requirements = script(tmp_path / "script")
    with pytest.raises(EnvironmentFailed, match=r"^installing the requirements took longer than 0.3 s$"):
        ask(requirements, settings(tmp_path, install_timeout_s=0.3))
    assert processes_that_name(tmp_path / "data") == []
