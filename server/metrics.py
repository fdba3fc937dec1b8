"""Every instrument of Tandem, in one place. Names carry units, labels come from closed sets.

Web processes write prometheus-client's multiprocess files; the supervisor holds its own gauges and counters, merges
the files, sweeps those of ended processes, and serves everything on the metrics port. Workers own no instruments:
their times come with their replies.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

STATES = ("loading", "ready", "failed")


class WebMetrics:
    """What a web process measures. Only one may exist in a process."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._requests = Counter(
            "tandem_requests_total",
            "Requests answered, by outcome.",
            ("model", "version", "runtime", "code"),
            registry=registry,
        )
        self._rows = Counter("tandem_rows_total", "Rows predicted.", ("model", "version"), registry=registry)
        self._seconds = Histogram(
            "tandem_request_seconds",
            "Time from the request's first byte to its answer.",
            ("model", "runtime"),
            buckets=SECONDS,
            registry=registry,
        )
        self._queue = Histogram(
            "tandem_queue_seconds", "Time a request waited for a worker.", ("pool",), buckets=SECONDS, registry=registry
        )
        self._predict = Histogram(
            "tandem_predict_seconds", "Time of one predict call.", ("model",), buckets=SECONDS, registry=registry
        )
        self._batch = Histogram(
            "tandem_batch_requests",
            "Requests predicted in one batch.",
            ("model",),
            buckets=REQUESTS,
            registry=registry,
        )
        self._depth = Gauge(
            "tandem_queue_depth",
            "Requests that wait for a worker.",
            ("pool",),
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._auth = Counter(
            "tandem_auth_failures_total", "Requests refused for who is asking.", ("reason",), registry=registry
        )
        self._scored: dict[tuple[str, str, str, str], tuple[Counter, Counter, Histogram]] = {}
        self._queues: dict[str, Histogram] = {}
        self._batches: dict[str, tuple[Histogram, Histogram]] = {}

    def answered(self, model: str, version: str, runtime: str, code: str, seconds: float, rows: int) -> None:
        """One scoring request has been answered."""
        key = (model, version, runtime, code)
        found = self._scored.get(key)
        if found is None:
            found = self._scored[key] = (
                self._requests.labels(model, version, runtime, code),
                self._rows.labels(model, version),
                self._seconds.labels(model, runtime),
            )
        found[0].inc()
        if rows:
            found[1].inc(rows)
        found[2].observe(seconds)

    def queued(self, pool: str, seconds: float) -> None:
        """One request has been given to a worker."""
        found = self._queues.get(pool)
        if found is None:
            found = self._queues[pool] = self._queue.labels(pool)
        found.observe(seconds)

    def batch(self, model: str, requests: int, predict_s: float) -> None:
        """One batch has been predicted."""
        found = self._batches.get(model)
        if found is None:
            found = self._batches[model] = (self._batch.labels(model), self._predict.labels(model))
        found[0].observe(requests)
        found[1].observe(predict_s)

    def depth(self, pool: str, requests: int) -> None:
        """How many requests wait now."""
        self._depth.labels(pool).set(requests)

    def auth_failure(self, reason: str) -> None:
        """Somebody was refused."""
        self._auth.labels(reason).inc()


class SupervisorMetrics:
    """What the supervisor measures, and the registry that joins it with the web processes' files."""

    def __init__(self, files: Path) -> None:
        self._files = files
        self.registry = CollectorRegistry()
        MultiProcessCollector(self.registry, path=str(files))
        self.workers = Gauge(
            "tandem_workers", "Workers of a pool, by state.", ("pool", "state"), registry=self.registry
        )
        self.restarts = Counter(
            "tandem_worker_restarts_total",
            "Processes of a pool that ended and were replaced, by reason.",
            ("pool", "reason"),
            registry=self.registry,
        )
        self.memory = Gauge(
            "tandem_worker_memory_bytes",
            "Proportional set size of a pool's workers together.",
            ("pool",),
            registry=self.registry,
        )
        self.model_state = Gauge(
            "tandem_model_state",
            "1 for the state that a model version is in.",
            ("model", "version", "state"),
            registry=self.registry,
        )
        self.load_seconds = Gauge(
            "tandem_model_load_seconds", "Time to read and prove a model file.", ("model",), registry=self.registry
        )

    def sweep(self) -> None:
        """Fold the files of ended web processes into one file a kind, so that neither disk nor scrape time grow."""
        for path in self._files.glob("*.db"):
            kind, _, pid = path.stem.rpartition("_")
            if pid == "0" or not pid.isdigit() or Path(f"/proc/{pid}").exists():
                continue
            if kind in ("counter", "histogram"):
                _fold(path, self._files / f"{kind}_0.db")
            path.unlink()


def _fold(source: Path, target: Path) -> None:
    """Add all values of one multiprocess file to another."""
    sums = MmapedDict(str(target))
    for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(source)):
        sums.write_value(key, sums.read_value(key)[0] + value, timestamp)
    sums.close()


def proportional_bytes(pids: Iterable[int]) -> int:
    """Memory of processes with shared pages counted by share (PSS, from /proc); a process that has gone counts 0."""
    return sum(_pss(pid) for pid in pids)


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)

