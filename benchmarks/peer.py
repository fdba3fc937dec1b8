"""A peer: another server with the same model, in an environment of its own, started, checked, measured and stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial, wraps
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from benchmarks.harness import ROOT, BenchmarkError
from benchmarks.http import Connection
from benchmarks.processes import end, seconds_until
from benchmarks.tandem import free_port

ENVIRONMENTS = ROOT / "benchmarks" / ".peers"
START_TIMEOUT_S = 120.0

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind:
    """A server: its environment's folder, what tables call it, what to import, and where it scores."""

    name: str
    label: str
    package: str
    path: str

    @property
    def python(self) -> Path:
        """The Python that has it: of its own environment, else the one that measures, if that has it."""
        own = ENVIRONMENTS / self.name / "bin" / "python"
        if own.exists():
            return own
        if find_spec(self.package) is not None:
            return Path(sys.executable)
        raise BenchmarkError(f"{self.label} is not installed; `make bench-peers` does that")

    @property
    def installed(self) -> bool:
        try:
            return self.python.exists()
        except BenchmarkError:
            return False

    @property
    def version(self) -> str | None:
        """None where it has no environment of its own."""
        sites = map(str, ENVIRONMENTS.glob(f"{self.name}/lib/python*/site-packages"))
        return next((d.version for d in distributions(name=self.package, path=list(sites))), None)


LITSERVE = Kind("litserve", "LitServe", "litserve", "/predict")
AZUREML = Kind("azureml", "azureml-inference-server-http", "azureml_inference_server_http", "/score")
MOSEC = Kind("mosec", "mosec", "mosec", "/inference")
MLSERVER = Kind("mlserver", "MLServer", "mlserver", "/v2/models/model/infer")
MLFLOW = Kind("mlflow", "mlflow models serve", "mlflow", "/invocations")
VETIVER = Kind("vetiver", "vetiver's server", "vetiver", "/predict")
KINDS = (LITSERVE, AZUREML, MOSEC, MLSERVER, MLFLOW, VETIVER)


@dataclass(frozen=True, slots=True)
class Tuning:
    """Processes, and how requests are joined where the server can: how many, and how long the first one waits."""

    workers: int
    batch: int = 1
    wait_ms: float = 0
    decoders: int = 0
    """Processes that only decode images, where the server has stages."""

    def to_data(self) -> dict[str, float]:
        return asdict(self)


class Peer:
    """One server process group. It only runs while it is measured: some poll even when there is nothing to do."""

    def __init__(
        self, kind: Kind, folder: Path, model: Path, tuning: Tuning, settings: Mapping[str, Any] | None = None
    ) -> None:
        self.name = kind.label
        self.port = free_port()
        self.path = kind.path
        self.url = f"http://127.0.0.1:{self.port}{kind.path}"
        self._log = folder / f"{kind.name}.log"
        self._command = _command(kind, self.port, tuning.workers)
        self._environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "PEER_MODEL": str(model),
            "PEER_SETTINGS": json.dumps(settings),
            "PEER_DEVICE": str((settings or {}).get("device", "cpu")),
            "PEER_PORT": str(self.port),
            "PEER_WORKERS": str(tuning.workers),
            "PEER_BATCH": str(tuning.batch),
            "PEER_WAIT_MS": f"{tuning.wait_ms:g}",
            "PEER_DECODERS": str(tuning.decoders),
            # As many processes as cores: a second thread in each would only be in the way.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        self._folder = folder

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._signal(signal.SIGCONT)
        end(self._process, timeout_s=10.0)
        self._signal(signal.SIGKILL)

    def answers(
        self, bodies: Sequence[bytes], content_type: str = "application/json", headers: Sequence[str] = ()
    ) -> list[bytes]:
        """Wait until it answers; what it replies to each body. Then it is halted. Raises BenchmarkError."""
        posted = partial(self._post, content_type=content_type, headers=headers)
        seconds_until(lambda: posted(bodies[0]) is not None, START_TIMEOUT_S, every_s=0.1)
        replies = [posted(body) for body in bodies]
        self._signal(signal.SIGSTOP)
        if None in replies:
            raise BenchmarkError(f"{self.name} refused a request: {self._told()}")
        return [reply for reply in replies if reply is not None]

    def awake(self, measure: Callable[P, T]) -> Callable[P, T]:
        """The same measurement of this peer, which is let run for it and halted again."""

        @wraps(measure)
        def awakened(*args: P.args, **kwargs: P.kwargs) -> T:
            self._signal(signal.SIGCONT)
            try:
                return measure(*args, **kwargs)
            finally:
                self._signal(signal.SIGSTOP)

        return awakened

    def _post(self, body: bytes, content_type: str, headers: Sequence[str]) -> bytes | None:
        """Over a connection of its own: not every peer keeps one. None where there is no good answer yet."""
        if self._process.poll() is not None:
            raise BenchmarkError(f"{self.name} ended: {self._told()}")
        try:
            with Connection(self.port) as connection:
                reply = connection.send(connection.posting(self.path, body, content_type, headers))
        except OSError:
            return None
        return reply.body if reply.status == 200 else None

    def _told(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return


def _command(kind: Kind, port: int, workers: int) -> list[str]:
    python = str(kind.python)
    match kind.name:
        case "azureml":
            script = ROOT / "benchmarks" / "peers" / "azureml_score.py"
            more = ["--entry_script", str(script), "--port", str(port), "--worker_count", str(workers)]
            return [python, "-m", "azureml_inference_server_http", *more]
        case "mosec":
            more = ["--address", "127.0.0.1", "--port", str(port), "--timeout", "30000", "--log-level", "warning"]
            return [python, "-m", "benchmarks.peers.mosec_server", *more]
        case "mlserver" | "mlflow" | "vetiver":
            return [python, "-m", f"benchmarks.peers.{kind.name}_server"]
        case _:
            return [python, "-m", "benchmarks.peers.litserve_server"]
