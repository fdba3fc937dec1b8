"""A model's environment: the packages that its requirements name, in a folder of their own.

It lies in `<data>/environments/<digest>`, where the digest covers everything that it was made from, so that models with
the same requirements share one and a change makes another. It counts only once its stamp is there: what a crash left
behind is built anew. Old ones stay. In a process on it the server's own packages and source come last: the model's
versions come first, and what Tandem needs in order to run the model is found. Whether the two get on with each other is
tried.

What packages bring is code, as models are. It never runs outside of a sandbox: what is required is fetched as wheels,
then unpacked by another process that can neither call anybody nor start a program (server/pools/installer.py).
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
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from server.catalog.beneath import pieces
from server.config import Settings
from server.paths import without_folders
from server.pools import installer
from server.pools.environment import EnvironmentFailed, for_models, of_threads

log = logging.getLogger(__name__)

STAMP = ".complete"
KIND = "2"
"""Kind of the environments that this version makes. It is part of their digest, so older kinds are not used."""
LOCK_EVERY_S = 0.2
DIGEST_DIGITS = 16
MAX_OUTPUT_CHARS = 4000
HASH = b"--hash="
INCLUDED = re.compile(r"^\s*(?:-r|--requirement)[\s=]*(\S+)", re.MULTILINE)
WRONG = "the requirements cannot be installed"
UNFIT = "Tandem cannot run with these requirements; name versions of the packages that fit each other too"
QUIET = ("--disable-pip-version-check", "--no-input", "--no-color")
NO_WHEEL = (
    "other packages are built by code of their own, which is not run here; name a version that has a wheel, put one "
    "beside the model (pip wheel makes it), or ask the operator for TANDEM_REQUIREMENTS=any"
)
KEPT_FROM = (installer.NO_PROGRAM, "No permission to execute")
TAKEN = re.compile(r"^\s*(?:Collecting|Processing|Obtaining) (\S+)", re.MULTILINE)
MISSING = re.compile(r"^ERROR: No matching distribution found for (.+?)(?: \(from .*\))?$", re.MULTILINE)
PASSED_OVER = re.compile(r"Skipping link: (?:No sources permitted for|none of the wheel's tags).*: (\S+)")
EXACT = re.compile(r"==\s*([^\s,;]+)")
OFF = (
    "the model has requirements, and nothing is installed for models here (TANDEM_REQUIREMENTS=off); remove the file "
    "of requirements if the server's own packages will do, or ask the operator to have them installed"
)


async def installed(requirements: Path, settings: Settings, runtime: str) -> Path | None:
    """The environment of a model whose requirements are in this file, if there is one. Raises EnvironmentFailed.

    Installs them first where nobody has yet; whoever asks meanwhile waits.
    """
    if not requirements.is_file():
        return None
    if settings.requirements == "off":
        raise EnvironmentFailed(OFF)
    try:
        about = "\0".join([KIND, settings.requirements, sys.version, runtime, *_own()])
        folder = settings.data.absolute() / "environments" / await asyncio.to_thread(_digest, requirements, about)
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)  # it may be here before the accounts are
        folder.parent.mkdir(exist_ok=True)
        async with asyncio.timeout(settings.install_timeout_s), _locked(folder.with_suffix(".lock")) as lock:
            if not folder.with_suffix(STAMP).exists():
                await _Build(folder, requirements, settings, lock).run(runtime)
    except TimeoutError as e:
        raise EnvironmentFailed(f"installing the requirements took longer than {settings.install_timeout_s:g} s") from e
    except OSError as e:
        raise EnvironmentFailed(f"the virtual environment cannot be made: {e.strerror}") from e
    return folder


def _digest(requirements: Path, about: str) -> str:
    """Digest of the requirements, the files beside them that they name, and all else that an environment depends on."""
    text = _beside(requirements, requirements.name)
    digest = hashlib.sha256(about.encode())
    digest.update(text)
    for word in text.decode(errors="replace").split():
        for piece in _pieces(requirements, word.rpartition("=")[2]):
            digest.update(piece)
    return digest.hexdigest()[:DIGEST_DIGITS]


def _is_lock(requirements: Path) -> bool:
    """Whether the file, or one that it includes, gives hashes; pip then wants one for every package."""
    text = _beside(requirements, requirements.name)
    included = INCLUDED.findall(text.decode(errors="replace"))
    return HASH in text or any(HASH in _beside(requirements, name) for name in included)


def _beside(requirements: Path, name: str) -> bytes:
    return b"".join(_pieces(requirements, name))


def _pieces(requirements: Path, name: str) -> Iterator[bytes]:
    """The content of a file in the same folder, or below it. No other file is read, whatever the requirements name."""
    with contextlib.suppress(OSError, ValueError):
        yield from pieces(requirements.parent / name, requirements.parent)


@contextlib.asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[int]:
    """Hold this file, which nobody else holds meanwhile, in this process or another, nor while a child has it open."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(LOCK_EVERY_S)
        yield file.fileno()


@dataclass(frozen=True, slots=True)
class _Build:
    """The making of one environment."""

    folder: Path
    requirements: Path
    settings: Settings
    lock: int

    async def run(self, runtime: str) -> None:
        """Make the environment: install the packages, then stamp it as complete. Raises EnvironmentFailed."""
        about = {"file": str(self.requirements)}
        log.info("requirements are being installed", extra=about)
        await asyncio.to_thread(self._clear)
        for folder in (self.folder, self._work / "tmp", self._wheels, self._cache):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            # A lock is taken as it stands, then asked whether it was whole. pip would resolve `name[extra]` anew, find
            # a release newer than the locked one, and refuse the lock for it.
            whole = _is_lock(self.requirements)
            await self._fetch(*(("--no-deps",) if whole else ()))
            await self._install()
            if whole:
                await self._alone("pip", "check", *QUIET)
            await self._alone("import", f"server.workers.{runtime}.runtime", wrong=UNFIT)
        finally:
            await asyncio.to_thread(shutil.rmtree, self._work, ignore_errors=True)
        self.folder.with_suffix(STAMP).touch()
        log.info("requirements are installed", extra=about)

    @property
    def _work(self) -> Path:
        return self.folder.with_suffix(".work")

    @property
    def _wheels(self) -> Path:
        return self._work / "wheels"

    @property
    def _cache(self) -> Path:
        return self.folder.parent / "cache"

    def _clear(self) -> None:
        for folder in (self.folder, self._work):
            shutil.rmtree(folder, ignore_errors=True)

    async def _fetch(self, *options: str) -> None:
        """Get all that is required as wheels: with the network, and without programs unless any package is welcome."""
        builds = self.settings.requirements == "any"
        into = ("wheel", "--wheel-dir") if builds else ("download", "--only-binary", ":all:", "--dest")
        # A cache that what is built could write to would reach other models.
        cache = ("--no-cache-dir",) if builds else ("--cache-dir", str(self._cache))
        more = ("--log", str(self._work / "log"), "--progress-bar", "off", *QUIET, "-r", self.requirements.name)
        writes = [self._work] if builds else [self._work, self._cache]
        said = await self._run(
            *("--network", *(("--programs",) if builds else ())),
            *("pip", *into, str(self._wheels), *cache, *options, *more),
            writes=writes,
            environment=for_models(os.environ),
        )
        if said is not None:
            # What is built can put anything in the log's place, so the log is not looked at then.
            raise EnvironmentFailed(_unfetched(said, None if builds else self._work / "log"))

    async def _install(self) -> None:
        wheels = [str(path) for path in self._wheels.glob("*.whl")]
        if wheels:
            how = ("--no-index", "--no-deps", "--ignore-installed", "--no-cache-dir", "--no-warn-script-location")
            await self._alone("pip", "install", "--prefix", str(self.folder), *how, *QUIET, *wheels)

    async def _alone(self, *command: str, wrong: str = WRONG) -> None:
        """Run pip without network, programs or any settings of its own. Raises EnvironmentFailed."""
        environment = {name: value for name, value in for_models(os.environ).items() if not name.startswith("PIP_")}
        environment |= of_threads(1) | {"PIP_CONFIG_FILE": os.devnull}
        said = await self._run(*command, writes=[self._work, self.folder], environment=environment)
        if said is not None:
            raise EnvironmentFailed(f"{wrong}: {_last_error(said)}")

    async def _run(self, *command: str, writes: list[Path], environment: Mapping[str, str]) -> str | None:
        """Run the installer to its end, or end it and its children with us; what it said, where it failed."""
        folders = [("--own", folder) for folder in _own()] + [("--write", str(folder)) for folder in writes]
        folders += [("--environment", str(self.folder)), ("--read", str(self.requirements.parent)), ("--pip", _pip())]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(Path(installer.__file__).absolute())),
            *("--sandbox", self.settings.sandbox, *(word for option in folders for word in option), *command),
            cwd=self.requirements.parent,
            env={**environment, "TMPDIR": str(self._work / "tmp")},
            pass_fds=[self.lock],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            output, _ = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and what it has left behind
            await process.wait()
        if process.returncode == 0:
            return None
        said = output.decode(errors="replace")
        log.warning("requirements cannot be installed", extra={"text": said[-MAX_OUTPUT_CHARS:]})
        return said


def _own() -> list[str]:
    """The folders of the server's own packages."""
    return [folder for folder in site.getsitepackages() if Path(folder).is_dir()]


def _pip() -> str:
    """The folder that has pip."""
    found = find_spec("pip")
    if found is None or found.origin is None:
        raise EnvironmentFailed("pip is not installed where the server runs")
    return str(Path(found.origin).parent.parent)


def _last_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["nothing was said"]
    errors = [line for line in lines if line.startswith("ERROR:") and line != "ERROR: Exception:"]
    return without_folders((errors or lines)[-1].removeprefix("ERROR:").strip())[:500]


def _unfetched(said: str, pips_log: Path | None) -> str:
    """Why something that is required cannot be had, with its cure where it is that there is no wheel of it."""
    package = _source(said) or (_without_wheel(said, pips_log) if pips_log is not None else None)
    if package is None:
        return f"{WRONG}: {_last_error(said)}"
    python = f"{sys.version_info.major}.{sys.version_info.minor} on {os.uname().machine}"
    return f"{WRONG}: {package} has no wheel for this Python ({python}); {NO_WHEEL}"


def _source(said: str) -> str | None:
    """The package that pip wanted to build from source, which it is not allowed to."""
    if not any(words in said for words in KEPT_FROM):
        return None
    taken = TAKEN.findall(said)
    return taken[-1].rpartition("/")[2] if taken else "a package"


def _without_wheel(said: str, pips_log: Path) -> str | None:
    """The package of which pip found no wheel, although it found other files."""
    missing = MISSING.search(said)
    if missing is None or not pips_log.is_file():
        return None
    passed_over = PASSED_OVER.findall(pips_log.read_text(errors="replace"))
    exact = EXACT.search(missing[1])
    if exact is not None:
        passed_over = [url for url in passed_over if re.search(rf"-{re.escape(exact[1])}(-|\.tar|\.zip)", url)]
    return missing[1] if passed_over else None
