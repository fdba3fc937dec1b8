"""The interpreter of a model: the server's own, or that of a virtual environment with the model's requirements.

An environment lies in `<data>/environments/<digest>`, where the digest covers everything that it was made from, so that
models with the same requirements share one and a change makes another. It is built in its place, because environments
cannot be moved, and counts only once its stamp is there: what a crash left behind is built anew. Old ones stay.

At the end of its search path stand the server's own packages and source: the model's versions come first, and what
Tandem needs in order to run the model is found. Whether the two get on with each other is tried.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import re
import shutil
import signal
import site
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path

import server
from server.config import Settings
from server.paths import without_folders
from server.supervisor.environment import EnvironmentFailed

log = logging.getLogger(__name__)

STAMP = "tandem-complete"
LOCK_EVERY_S = 0.2
DIGEST_DIGITS = 16
MAX_OUTPUT_CHARS = 4000
HASH = "--hash="
INCLUDED = re.compile(r"^\s*(?:-r|--requirement)[\s=]*(\S+)", re.MULTILINE)


async def interpreter(requirements: Path, settings: Settings, runtime: str) -> Path:
    """The interpreter for a model whose requirements are in this file, if there is one. Raises EnvironmentFailed.

    Installs them first where nobody has yet; whoever asks meanwhile waits.
    """
    if not requirements.is_file():
        return Path(sys.executable)
    try:
        folder = settings.data.absolute() / "environments" / await asyncio.to_thread(_digest, requirements, runtime)
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)  # it may be here before the accounts are
        folder.parent.mkdir(exist_ok=True)
        async with asyncio.timeout(settings.install_timeout_s), _locked(folder.with_suffix(".lock")) as lock:
            if not (folder / STAMP).exists():
                await _build(folder, requirements, runtime, lock)
    except TimeoutError as e:
        raise EnvironmentFailed(f"installing the requirements took longer than {settings.install_timeout_s:g} s") from e
    except OSError as e:
        raise EnvironmentFailed(f"the virtual environment cannot be made: {e.strerror}") from e
    return folder / "bin" / "python"


def _digest(requirements: Path, runtime: str) -> str:
    """Of what is required, of the files beside it that it names, and of what the environment refers to."""
    text = requirements.read_bytes()
    digest = hashlib.sha256("\0".join([sys.version, runtime, *_own_paths()]).encode())
    digest.update(text)
    for word in text.decode(errors="replace").split():
        named = requirements.parent / word.rpartition("=")[2]
        with contextlib.suppress(OSError, ValueError):
            if named.is_file():
                digest.update(named.read_bytes())
    return digest.hexdigest()[:DIGEST_DIGITS]


def _is_lock(requirements: Path) -> bool:
    """Whether the file, or one that it includes, gives hashes; pip then wants one for every package."""
    text = requirements.read_text(errors="replace")
    included = (requirements.parent / name for name in INCLUDED.findall(text))
    return HASH in text or any(HASH in path.read_text(errors="replace") for path in included if path.is_file())


def _own_paths() -> list[str]:
    """Where the server's packages and the server itself are."""
    return [*site.getsitepackages(), str(Path(server.__file__).absolute().parent.parent)]


@contextlib.asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[int]:
    """Nobody else holds this file meanwhile, in this process or another, nor while a child has the descriptor."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(LOCK_EVERY_S)
        yield file.fileno()


async def _build(folder: Path, requirements: Path, runtime: str, lock: int) -> None:
    log.info("requirements are being installed", extra={"file": str(requirements)})
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    await _run(requirements.parent, lock, "-m", "venv", "--without-pip", str(folder))  # ours does, and saves 3 s
    into = ("-m", "pip", "--python", str(folder / "bin" / "python"), "--disable-pip-version-check", "--no-input")
    # A lock is installed as it stands, then asked whether it was whole. pip would resolve `name[extra]` anew, find a
    # release newer than the locked one, and refuse the lock for it.
    whole = ("--no-deps",) if _is_lock(requirements) else ()
    await _run(requirements.parent, lock, *into, "install", "--quiet", *whole, "-r", requirements.name)
    if whole:
        await _run(requirements.parent, lock, *into, "check")
    places = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", places))
    (packages / "tandem.pth").write_text("".join(f"{path}\n" for path in _own_paths()))
    module = f"server.workers.{runtime}.runtime"
    wrong = "Tandem cannot run with these requirements; name versions of the packages that fit each other too"
    python = str(folder / "bin" / "python")
    await _run(requirements.parent, lock, "-c", f"import {module}", python=python, wrong=wrong)
    (folder / STAMP).touch()
    log.info("requirements are installed", extra={"file": str(requirements)})


async def _run(
    cwd: Path,
    lock: int,
    *arguments: str,
    python: str = sys.executable,
    wrong: str = "the requirements cannot be installed",
) -> None:
    """Run Python to its end, or end it and its children with us. Raises EnvironmentFailed with its words."""
    # Neither the script's own modules (-P) nor what PYTHONPATH has may stand in for those of venv and pip.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = await asyncio.create_subprocess_exec(
        *(python, "-P", *arguments),
        cwd=cwd,
        env=environment,
        pass_fds=[lock],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        said = output.decode(errors="replace")
        log.warning("requirements cannot be installed", extra={"text": said[-MAX_OUTPUT_CHARS:]})
        raise EnvironmentFailed(f"{wrong}: {_last_error(said)}")


def _last_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["nothing was said"]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return without_folders((errors or lines)[-1].removeprefix("ERROR:").strip())[:500]
