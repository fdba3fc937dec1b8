"""A Tandem to measure: the `tandem` command in a process of its own, with the default settings but for the folders."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from benchmarks.harness import ROOT, BenchmarkError
from benchmarks.http import Connection
from benchmarks.processes import Kind, below, end, pss_mib, seconds_until
from server.config import Settings
from server.machine.cgroup import granted_cores

START_TIMEOUT_S = 180.0
CONNECTED = "03"
WORKERS_BEYOND_CORES = """
import asyncio, sys
from server import config, logs
from server.supervisor.main import Supervisor
logs.configure()

async def serve():
    return await Supervisor(config.load(), cores={cores}).run()

sys.exit(asyncio.run(serve()))
"""
"""The pool never has more workers than cores are granted; a measurement of memory needs them all the same."""


class Tandem:
    """One server, with JWT, validation, metrics and access log on; the log goes to a file."""

    def __init__(
        self,
        folder: Path,
        models: Sequence[str] = (),
        workers: int | None = None,
        settings: Mapping[str, object] | None = None,
        checkout: Path = ROOT,
        all_ready: bool = True,
    ) -> None:
        """All models of its folders have to be ready unless `all_ready` is false."""
        self.folder = folder
        self.r_models = folder / "r_models"
        self.python_models = folder / "python_models"
        for models_folder in (self.r_models, self.python_models):
            models_folder.mkdir(parents=True, exist_ok=True)
        self.port, self.metrics_port = free_port(), free_port()
        self.log = folder / "log"
        self.temporary = folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        for name in models:
            for suffix in (".rds", ".yaml"):
                shutil.copy(ROOT / "r_models" / (name + suffix), self.r_models)
        self.workers = workers or min(Settings.model_fields["r_workers"].default, granted_cores())
        self._python = sys.executable if checkout == ROOT else str(checkout / ".venv/bin/python")
        self._command = ["-m", "server.cli", "serve"]
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("TANDEM_")} | {
            "TANDEM_PORT": str(self.port),
            "TANDEM_METRICS_PORT": str(self.metrics_port),
            "TANDEM_DATA": str(folder / "data"),
            "TANDEM_R_MODELS": str(self.r_models),
            "TANDEM_PYTHON_MODELS": str(self.python_models),
            "PYTHONPATH": str(checkout),
            "TMPDIR": str(self.temporary),
        }
        self._environment |= {f"TANDEM_{name.upper()}": str(value) for name, value in (settings or {}).items()}
        if workers is not None:
            self._command = ["-c", WORKERS_BEYOND_CORES.format(cores=workers)]
            self._environment["TANDEM_R_WORKERS"] = str(workers)
        self.seconds_to_ready = 0.0
        self._all_ready = all_ready

    def __enter__(self) -> Self:
        started = time.monotonic()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._python, *self._command],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            seconds_until(self._ready, START_TIMEOUT_S, every_s=0.05)
        except BaseException:
            end(self._process)
            raise
        self.seconds_to_ready = time.monotonic() - started
        self.token = self._token()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        end(self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, timeout_s: float) -> int:
        """Until it has ended; its exit code."""
        return self._process.wait(timeout_s)

    def path(self, model: str) -> str:
        return f"/v1/models/{model}/score"

    def url(self, model: str) -> str:
        return f"http://127.0.0.1:{self.port}{self.path(model)}"

    def connect(self) -> Connection:
        return Connection(self.port, self.token)

    def processes(self, kind: Kind) -> list[int]:
        return sorted(pid for pid, found in below(self._process.pid).items() if found == kind)

    def pss_mib(self, kind: Kind) -> float:
        return sum(map(pss_mib, self.processes(kind)))

    def published(self) -> set[str]:
        """Sockets of the workers that are published.

        The supervisor connects to a worker to hear that it answers, and the web process when a snapshot names it, so
        a published worker's socket has both connections.
        """
        connections: Counter[str] = Counter()
        for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
            _, _, _, _, _, state, _, *path = line.split()
            if path and path[0].startswith(str(self.temporary)) and "/r-" in path[0] and state == CONNECTED:
                connections[path[0]] += 1
        return {path for path, number in connections.items() if number >= 2}

    def wait_complete(self) -> None:
        """Until all workers are published, spares too, and those of an older generation have left."""
        seconds_until(lambda: len(self.published()) == len(self.processes("worker")) >= self.workers, 60.0)

    def _ready(self) -> bool:
        if self._process.poll() is not None:
            raise BenchmarkError(f"the server ended: {self.log.read_text()[-2000:]}")
        try:
            with Connection(self.port) as connection:
                return connection.get("/health/ready").status == 200
        except OSError:
            return False

    def _token(self) -> str:
        """For `admin`; checked, so that nothing is measured on refusals."""
        command = [self._python, "-m", "server.cli", "token", "--user", "admin"]
        done = subprocess.run(command, cwd=self.folder, env=self._environment, capture_output=True, text=True)
        token = done.stdout.strip()
        with Connection(self.port, token) as connection:
            listed = connection.get("/v1/models")
        states = {model["state"] for model in orjson.loads(listed.body)} if listed.status == 200 else set()
        if "ready" not in states or (self._all_ready and states != {"ready"}):
            raise BenchmarkError(f"the server does not serve its models: {listed.body[:2000]!r} {done.stderr}")
        return token


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
