"""Every instrument of Tandem, in one place. Names carry units, labels come from closed sets.

Web processes write prometheus-client's multiprocess files; the supervisor holds its own gauges and counters, merges
the files, sweeps those of ended processes, and serves everything on the metrics port. Workers own no instruments:
their times come with their replies.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from server import __version__

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
REFILL_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

HISTOGRAMS = (
    ("tandem_request_seconds", "Time from the request's head to its answer.", ("model", "runtime"), SECONDS),
    ("tandem_queue_seconds", "Time a request waited for a worker.", ("runtime",), SECONDS),
    ("tandem_predict_seconds", "Time spent predicting one batch.", ("model",), SECONDS),
    ("tandem_batch_requests", "Requests answered by one batch.", ("model",), REQUESTS),
)
_BOUNDS = {name: bounds for name, _, _, bounds in HISTOGRAMS}

STATES = ("loading", "ready", "failed")
Mode = Literal["livesum", "livemax"]
MOST_IDLE = 1000
"""How many versions that do not serve have a metric of their state: a folder may hold ten thousand useless files."""
STAGES = ("queue", "decode", "predict", "encode")
REMOTE = "remote"
"""The label `runtime` of requests that another server answered. They are counted there too."""


class _Tally:
    """A histogram's observations since the last flush.

    Observing is arithmetic only: the multiprocess files cost a system call and a lock for each number, which at full
    load was a tenth of a web process's time.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def flush(self, histogram: Histogram) -> None:
        """Add everything to `histogram`, which has no public way to add many observations at once."""
        for bucket, count in zip(histogram._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        histogram._sum.inc(self._sum)


class WebMetrics:
    """What a web process measures: noted in plain numbers, flushed to the multiprocess files a few times a second."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._requests = Counter(
            "tandem_requests_total",
            "Requests answered, by outcome.",
            ("model", "version", "runtime", "dialect", "code"),
            registry=registry,
        )
        self._rows = Counter("tandem_rows_total", "Rows predicted.", ("model", "version"), registry=registry)
        self._auth = Counter(
            "tandem_auth_failures_total", "Requests refused for who is asking.", ("reason",), registry=registry
        )
        self._edge = Counter(
            "tandem_edge_refusals_total",
            "Requests refused before any route saw them, by code.",
            ("code",),
            registry=registry,
        )
        self._failed_routes = Counter(
            "tandem_route_failures_total",
            "Requests to other routes than scoring that were answered internal_error, by route.",
            ("route",),
            registry=registry,
        )
        self._limited = Counter(
            "tandem_limited_total",
            "Scoring requests refused for a limit on how much their caller may ask for, by the limit's name.",
            ("limit", "code"),
            registry=registry,
        )
        self._stages = Counter(
            "tandem_stage_seconds_total",
            "Seconds that requests spent in each stage; those of one batch share its times.",
            ("model", "stage"),
            registry=registry,
        )
        gauge = partial(self._gauge, registry)
        self._depth = gauge("tandem_queue_depth", "Requests that wait for a worker.", "livesum")
        self._inflight = gauge("tandem_inflight", "Requests that wait for a worker or are being predicted.", "livesum")
        self._wait = gauge("tandem_queue_wait_seconds", "How long the request waits that waits longest.", "livemax")
        about = "How long the database of accounts has been out of reach."
        self._away = gauge("tandem_accounts_away_seconds", about, "livemax", ())
        about = "API keys that end within 14 days, or within a quarter of a shorter life, and were not replaced."
        self._ending = gauge("tandem_keys_ending", about, "livemax", ())
        about = "How old the keys of an identity provider are; infinite where they were never had."
        self._jwks_age = gauge("tandem_jwks_age_seconds", about, "livemax", ("provider",))
        self._providers: set[str] = set()
        self._histograms = {
            name: Histogram(name, about, labels, buckets=bounds, registry=registry)
            for name, about, labels, bounds in HISTOGRAMS
        }
        self._counted: dict[tuple[Counter, tuple[str, ...]], float] = defaultdict(float)
        self._tallied: dict[tuple[str, tuple[str, ...]], _Tally] = {}

    def answered(
        self, model: str, version: str, runtime: str, dialect: str, code: str, seconds: float, rows: int
    ) -> None:
        """One scoring request has been answered."""
        self._counted[self._requests, (model, version, runtime, dialect, code)] += 1
        if rows:
            self._counted[self._rows, (model, version)] += rows
        self._observe("tandem_request_seconds", (model, runtime), seconds)

    def queued(self, model: str, runtime: str, seconds: float) -> None:
        """A request that a worker has answered had waited so long for it."""
        self._observe("tandem_queue_seconds", (runtime,), seconds)
        self._counted[self._stages, (model, "queue")] += seconds

    def batch(self, model: str, requests: int, decode_s: float, predict_s: float, encode_s: float) -> None:
        """A worker has answered a batch; how long that was in each of its stages."""
        self._observe("tandem_batch_requests", (model,), requests)
        self._observe("tandem_predict_seconds", (model,), predict_s)
        for stage, seconds in (("decode", decode_s), ("predict", predict_s), ("encode", encode_s)):
            self._counted[self._stages, (model, stage)] += requests * seconds

    def load(self, runtime: str, waiting: int, inflight: int, longest_wait_s: float) -> None:
        """How many requests wait now, how many are not answered yet, and how long the first has waited."""
        self._depth.labels(runtime).set(waiting)
        self._inflight.labels(runtime).set(inflight)
        self._wait.labels(runtime).set(longest_wait_s)

    def accounts_away(self, seconds: float) -> None:
        """Seconds for which the database of accounts has been out of reach now."""
        self._away.set(seconds)

    def keys_ending(self, count: int) -> None:
        """So many API keys end soon."""
        self._ending.set(count)

    def jwks_ages(self, ages: Mapping[str, float]) -> None:
        """So old are the keys of each identity provider; of one that is no longer described, 0."""
        for gone in self._providers - ages.keys():
            self._jwks_age.labels(gone).set(0)
        for provider, age_s in ages.items():
            self._jwks_age.labels(provider).set(age_s)
        self._providers |= ages.keys()

    def auth_failure(self, reason: str) -> None:
        """Somebody was refused."""
        self._counted[self._auth, (reason,)] += 1

    def limited(self, limit: str, code: str) -> None:
        """A caller has asked for more than a limit allows."""
        self._counted[self._limited, (limit, code)] += 1

    def edge_refusal(self, code: str) -> None:
        """A request was refused for its form, its size or its slowness, or a connection was one too many."""
        self._counted[self._edge, (code,)] += 1

    def route_failed(self, route: str) -> None:
        """A route failed, and its caller was told `internal_error`; the route as it was declared, not as asked for."""
        self._counted[self._failed_routes, (route,)] += 1

    def flush(self) -> None:
        """Write what was noted since the last time where the supervisor reads it; what cannot be, stays noted."""
        for counted, count in list(self._counted.items()):
            counter, labels = counted
            counter.labels(*labels).inc(count)
            del self._counted[counted]
        for tallied, tally in list(self._tallied.items()):
            name, labels = tallied
            tally.flush(self._histograms[name].labels(*labels))
            del self._tallied[tallied]

    @staticmethod
    def _gauge(
        registry: CollectorRegistry, name: str, about: str, mode: Mode, labels: Sequence[str] = ("runtime",)
    ) -> Gauge:
        return Gauge(name, about, labels, multiprocess_mode=mode, registry=registry)

    def _observe(self, name: str, labels: tuple[str, ...], value: float) -> None:
        tally = self._tallied.get((name, labels))
        if tally is None:
            tally = self._tallied[name, labels] = _Tally(_BOUNDS[name])
        tally.observe(value)


class SupervisorMetrics(Collector):
    """What the supervisor measures, and the registry that joins it with the web processes' files."""

    def __init__(self, files: Path) -> None:
        self._files = files
        self._reading = threading.Lock()
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.workers = Gauge(
            "tandem_workers", "Workers of a pool, by state.", ("runtime", "state"), registry=self.registry
        )
        self.capacity = Gauge(
            "tandem_capacity", "Requests that a pool can predict at once.", ("runtime",), registry=self.registry
        )
        self.refill = Histogram(
            "tandem_refill_seconds",
            "Time from the end of a worker until its replacement takes requests.",
            ("runtime",),
            buckets=REFILL_SECONDS,
            registry=self.registry,
        )
        self.remote_up = Gauge(
            "tandem_remote_up", "1 while a remote server tells of its models.", ("remote",), registry=self.registry
        )
        self.memory_used = Gauge(
            "tandem_memory_used_bytes",
            "Working set of the container, or of the machine where no limit is set.",
            registry=self.registry,
        )
        self.memory_granted = Gauge("tandem_memory_granted_bytes", "Limit of that memory.", registry=self.registry)
        build = Gauge("tandem_build_info", "1, by the version that runs.", ("version",), registry=self.registry)
        build.labels(__version__).set(1)
        self.restarts = Counter(
            "tandem_worker_restarts_total",
            "Processes of a pool that ended and were replaced, by reason.",
            ("runtime", "reason"),
            registry=self.registry,
        )
        self.memory = Gauge(
            "tandem_worker_memory_bytes",
            "Proportional set size of a pool's workers together.",
            ("runtime",),
            registry=self.registry,
        )
        self._signatures = Counter(
            "tandem_model_signatures_total",
            "Model files whose signature was looked at, by what it was found to be.",
            ("outcome",),
            registry=self.registry,
        )
        self.gpu_memory = Gauge(
            "tandem_gpu_memory_bytes", "Memory of a GPU that is in use.", ("gpu",), registry=self.registry
        )
        self.gpu_utilization = Gauge(
            "tandem_gpu_utilization_ratio",
            "Share of the last moment in which a GPU computed.",
            ("gpu",),
            registry=self.registry,
        )
        self.sandbox_level = Gauge(
            "tandem_sandbox_level",
            "How far a pool's processes are locked up: 0 not at all, 1 partly, 2 fully.",
            ("runtime",),
            registry=self.registry,
        )
        self.r_vulnerable = Gauge(
            "tandem_r_vulnerable",
            "1 where R is older than 4.4 and runs code as it reads a file that was made for it (CVE-2024-27322).",
            registry=self.registry,
        )
        self._model_state = Gauge(
            "tandem_model_state",
            f"1 for the state that a model version is in; of those that do not serve {MOST_IDLE:,} are told.",
            ("model", "version", "state"),
            registry=self.registry,
        )
        self.load_seconds = Gauge(
            "tandem_model_load_seconds", "Time to read and prove a model file.", ("model",), registry=self.registry
        )

    def tell_states(self, versions: Iterable[tuple[str, str, str]]) -> None:
        """These are all models, each with its version and its state."""
        self._model_state.clear()
        idle = 0
        for model, version, now in versions:
            idle += now != "ready"
            if now == "ready" or idle <= MOST_IDLE:
                for state in STATES:
                    self._model_state.labels(model, version, state).set(now == state)

    def on_signature(self, outcome: str) -> None:
        """A model's signature was looked at."""
        self._signatures.labels(outcome).inc()

    def collect(self) -> list[Metric]:
        """The web processes' metrics, merged; for the registry."""
        with self._reading:
            return list(MultiProcessCollector(None, path=str(self._files)).collect())

    def sweep(self) -> None:
        """Fold the files of ended web processes into one file a kind, so that neither disk nor scrape time grow."""
        with self._reading:  # a scrape between folding and deleting would count twice
            self._fold_ended()

    def _fold_ended(self) -> None:
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
