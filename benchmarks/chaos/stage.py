"""What all scenarios stand on: models whose answers and times are known, their server, and what /proc says of it."""

from __future__ import annotations

import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from benchmarks.chaos.checks import Sample
from benchmarks.chaos.load import Asked
from benchmarks.harness import ROOT, Bench, BenchmarkError
from benchmarks.http import Connection, Reply
from benchmarks.plain_r import PlainR
from benchmarks.processes import below
from benchmarks.tandem import Tandem

CARS = "lm(dist ~ speed, cars)"
SERVICE_MS = 20.0
SLOW = "local({f <- function(x) {Sys.sleep(0.02); x}; lm(dist ~ f(speed), cars)})"
ONE_BY_ONE = {"batch_max_rows": 1}
"""Without this setting waiting requests are joined, and a server of 20 ms a call answers thousands a second."""
BODY = b'{"rows":[{"speed":10}]}'
DISTANCE = "predict(lm(dist ~ speed, cars), data.frame(speed = 10))"


@contextmanager
def stage(bench: Bench, name: str, models: Mapping[str, str], **settings: object) -> Iterator[Tandem]:
    """A server of R models, given as the R code that makes them, with two workers unless settings say otherwise."""
    folder = bench.folder(name) / "r_models"
    folder.mkdir(exist_ok=True)
    with PlainR() as r:
        for model, code in models.items():
            r.ask(f"saveRDS({{{' '.join(code.splitlines())}}}, '{folder}/{model}.rds'); NULL")
    with Tandem(folder.parent, settings={"r_workers": 2, "settle_s": 0.05} | settings) as tandem:
        yield tandem


def asked(tandem: Tandem, model: str, body: bytes = BODY) -> Asked:
    """A request to the model, and the answer that it must get: what an undisturbed server says, which R confirms."""
    with tandem.connect() as connection:
        request = connection.posting(tandem.path(model), body)
        reply = connection.send(request)
    if reply.status != 200:
        raise BenchmarkError(f"{model} does not answer: {reply.status} {reply.body[:500]!r}")
    return Asked(request, frozenset([reply.body]))


def asked_of_cars(tandem: Tandem, model: str) -> Asked:
    """The same of a model that is CARS but for its time."""
    one = asked(tandem, model)
    [body] = one.answers
    if orjson.loads(body)["predictions"] != [_distance()]:
        raise BenchmarkError(f"{model} answers {body!r}, R {_distance()!r}")
    return one


@cache
def _distance() -> float:
    with PlainR() as r:
        return float(r.ask(f"sprintf('%.17g', {DISTANCE})").strip('"'))


def probed(port: int, path: str) -> Reply:
    """GET over a connection of its own, as a probe does."""
    with Connection(port) as connection:
        return connection.get(path)


def metric(tandem: Tandem, name: str) -> float:
    """The sum of a metric's series."""
    lines = probed(tandem.metrics_port, "/metrics").body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((name + "{", name + " ")))


def copy_python_model(bench: Bench, name: str, model: str) -> None:
    """One of the examples that `make` trains."""
    folder = bench.folder(name) / "python_models"
    folder.mkdir(exist_ok=True)
    for path in (ROOT / "python_models").glob(f"{model}.*"):
        shutil.copy(path, folder)


def processes(tandem: Tandem) -> dict[int, str]:
    """All of the server's processes, and what they are."""
    found = {pid: str(kind) for pid, kind in below(tandem.pid).items() if _state(pid) not in ("Z", "X")}
    return {tandem.pid: "supervisor"} | {pid: "gunicorn" if kind == "other" else kind for pid, kind in found.items()}


def zombies(tandem: Tandem) -> int:
    return sum(_state(pid) == "Z" for pid in below(tandem.pid))


def descriptors(tandem: Tandem, kind: str) -> dict[int, int]:
    """How many each process of this kind has open."""
    return {pid: _descriptors(pid) for pid, found in processes(tandem).items() if found == kind}


def run_files(tandem: Tandem) -> int:
    """Sockets and files below the server's temporary folder, the metrics of its web processes left out."""
    return sum("metrics" not in path.parts for path in tandem.temporary.rglob("*"))


def resident_bytes(pid: int) -> int:
    """From the page tables: the counters of /proc/PID/status are only right within some hundred KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) * 1024


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


class Beside:
    """What runs in a thread of its own for as long as its block lasts."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        """What it does until it is told to stop; each kind says it."""
        raise NotImplementedError


class Sampler(Beside):
    """Looks at every process of the server again and again, from a thread."""

    def __init__(self, tandem: Tandem, every_s: float) -> None:
        self._tandem, self._every_s = tandem, every_s
        super().__init__()
        self.series: dict[tuple[str, int], list[Sample]] = defaultdict(list)
        """By kind and process id."""
        self.totals: list[int] = []
        """Resident bytes of all together, sample by sample."""

    def _run(self) -> None:
        started = time.monotonic()
        while not self._stop.wait(self._every_s):
            total = 0
            for pid, kind in processes(self._tandem).items():
                with suppress(OSError, StopIteration):  # it has ended meanwhile
                    threads = sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
                    resident = resident_bytes(pid)
                    sample = Sample(time.monotonic() - started, resident, _descriptors(pid), threads)
                    self.series[kind, pid].append(sample)
                    total += resident
            self.totals.append(total)
