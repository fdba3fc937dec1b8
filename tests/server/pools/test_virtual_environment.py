"""A model's requirements: installed once into an environment of their own, which ends in the server's packages."""

from __future__ import annotations

import asyncio
import hashlib
import site
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server.config import Settings
from server.machine import sandbox
from server.pools.environment import EnvironmentFailed
from server.pools.virtual_environment import STAMP, installed
from tests.harness.tandem import ROOT
from tests.harness.wheels import source, wheel

needs_all = pytest.mark.skipif(not sandbox.available().full, reason=f"the kernel here offers {sandbox.available()}")


def settings(folder: Path, **given: Any) -> Settings:
    return Settings(data=folder / "data", **{"install_timeout_s": 120.0, **given})


def script(folder: Path, *lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "requirements.txt").write_text("\n".join(["--no-index", *lines]) + "\n")
    return folder / "requirements.txt"


RUN = """
import site, sys
sys.path.append(sys.argv[1])
from pathlib import Path
from server.workers import start
start.enter(Path(sys.argv[2]), sys.argv[3].split(":"))
exec(sys.argv[4])
"""


def run(environment: Path | None, code: str) -> str:
    """What a process prints that has entered an environment as templates do."""
    assert environment is not None
    command = [sys.executable, "-I", "-S", "-c", RUN, str(ROOT), str(environment), ":".join(site.getsitepackages())]
    done = subprocess.run([*command, code], capture_output=True, text=True, timeout=60, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ask(requirements: Path, settings: Settings, runtime: str = "script") -> Path | None:
    return asyncio.run(installed(requirements, settings, runtime))


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


def test_without_requirements_there_is_none(tmp_path: Path) -> None:
    assert ask(tmp_path / "requirements.txt", settings(tmp_path)) is None
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
    assert ask(requirements, settings(tmp_path), "script") is not None


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

    async def ask_twice() -> list[Path | None]:
        return await asyncio.gather(*(installed(requirements, settings(tmp_path), "script") for _ in range(2)))

    first, second = asyncio.run(ask_twice())
    assert first == second
    assert first is not None
    assert run(first, PROBE) == f"1.0 0.0.1 {first}"
    assert sorted(path.name for path in folder.iterdir()) == sorted(["requirements.txt", *wheels])
    stamp = first.with_suffix(STAMP)
    made = stamp.stat().st_mtime_ns
    assert ask(requirements, settings(tmp_path)) == first
    assert stamp.stat().st_mtime_ns == made
    # The text is the same, but not what it names; and what was left half made is no environment.
    wheel(folder, "shade", "1.0", 'VERSION = "1.0 again"\n')
    stamp.unlink()
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
    assert not list(tmp_path.rglob(f"*{STAMP}"))


def test_an_installation_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    requirements = script(tmp_path / "script")
    with pytest.raises(EnvironmentFailed, match=r"^installing the requirements took longer than 0.3 s$"):
        ask(requirements, settings(tmp_path, install_timeout_s=0.3))
    assert processes_that_name(tmp_path / "data") == []


def test_where_nothing_is_installed_a_model_with_requirements_is_refused_with_its_cure(tmp_path: Path) -> None:
    requirements = script(tmp_path / "script")
    with pytest.raises(EnvironmentFailed, match=r"TANDEM_REQUIREMENTS=off.*remove the file.*ask the operator"):
        ask(requirements, settings(tmp_path, requirements="off"))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("required", ["shade", "shade==1.0", "shade>=1", "./shade-1.0.tar.gz", "-e ./shade"])
def test_what_has_no_wheel_is_refused_by_its_name_with_a_cure(required: str, tmp_path: Path) -> None:
    folder = tmp_path / "script"
    (folder / "shade").mkdir(parents=True)
    (folder / "shade" / "setup.py").write_text("")
    source(folder, "shade", "1.0")
    requirements = script(folder, "--find-links=.", required)
    with pytest.raises(EnvironmentFailed) as failed:
        ask(requirements, settings(tmp_path))
    named = required.replace("-e ./shade", "shade").removeprefix("./")
    assert f" {named} has no wheel for this Python" in str(failed.value)
    assert str(failed.value).endswith("or ask the operator for TANDEM_REQUIREMENTS=any")


def test_a_release_that_does_not_exist_is_not_said_to_lack_a_wheel(tmp_path: Path) -> None:
    folder = tmp_path / "script"
    folder.mkdir()
    source(folder, "shade", "1.0")
    with pytest.raises(EnvironmentFailed, match=r"^the requirements cannot be installed: No matching.*shade==2.0$"):
        ask(script(folder, "--find-links=.", "shade==2.0"), settings(tmp_path))


BUILT = """
import os, socket
try:
    open({key!r}).read()
except OSError:
    pass
else:
    raise SystemExit("the key was read")
if not {free}:
    for family in (socket.AF_UNIX, socket.AF_NETLINK):
        try:
            socket.socket(family, socket.SOCK_DGRAM)
        except OSError:
            continue
        raise SystemExit("another process can be called")
    socket.socket(socket.AF_INET).close()
assert not [name for name in os.environ if name.startswith("TANDEM_")]
"""


@pytest.mark.parametrize("mode", [pytest.param("on", marks=needs_all), "off"])
def test_a_source_package_where_any_is_welcome_is_built_in_a_sandbox(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_PORT", "1")
    key = tmp_path / "data" / "signing.key"
    key.parent.mkdir(mode=0o700)
    key.write_text("secret")
    folder = tmp_path / "script"
    folder.mkdir()
    name = source(folder, "shade", "1.0", BUILT.format(key=str(key), free=mode == "off"))
    requirements = script(folder, f"./{name}")
    given = settings(tmp_path, requirements="any", sandbox=mode)
    if mode == "off":
        with pytest.raises(EnvironmentFailed):
            ask(requirements, given)
    else:
        assert run(ask(requirements, given), "import shade; print(shade.VERSION)") == "1.0"
    assert not list(tmp_path.rglob("*.work"))


@needs_all
def test_requirements_tell_nothing_of_files_that_are_not_beside_them(tmp_path: Path) -> None:
    key = tmp_path / "data" / "signing.key"
    key.parent.mkdir(mode=0o700)
    key.write_text("a-secret in two words\n")
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "linked.txt").symlink_to(key)
    for named in (f"-r {key}", "-r linked.txt", f"-c {key}"):
        with pytest.raises(EnvironmentFailed) as failed:
            ask(script(folder, named), settings(tmp_path))
        assert "Permission denied" in str(failed.value)
        assert "secret" not in str(failed.value)
