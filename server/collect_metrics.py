"""The instruments of collection: the ledger, as web processes and the recorder keep it.

What was sent, and was neither received nor is on its way, was in a process that was killed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from server.wire.collect import Told

RECORDED = ("received", "kept", "undecodable", "spool_full")
"""What may become of a copy in the recorder. What has not happened is 0: the first time is then seen as an increase."""


class CollectMetrics:
    """What a web process did with each request of a model that is collected."""

    def __init__(self) -> None:
        self._requests = Counter(
            "tandem_collect_requests_total",
            "Requests of collected models, by what became of their copy in the web process.",
            ("model", "outcome"),
            registry=CollectorRegistry(),
        )
        self._counted: dict[tuple[str, str], int] = defaultdict(int)
        self._sent: dict[str, Counter] = {}

    def count(self, model: str, outcome: str) -> None:
        """No copy of a request was sent."""
        self._counted[model, outcome] += 1

    def sent(self, model: str, count: int) -> None:
        """So many copies are about to be sent; this is written at once, which a killed process cannot undo."""
        child = self._sent.get(model)
        if child is None:
            child = self._sent[model] = self._requests.labels(model, "sent")
        child.inc(count)

    def flush(self) -> None:
        """Write what was counted since the last time."""
        for counted, count in list(self._counted.items()):
            self._requests.labels(*counted).inc(count)
            del self._counted[counted]


class MirrorMetrics:
    """What became of the copies that a web process made for mirrored deployments."""

    def __init__(self) -> None:
        self._copies = Counter(
            "tandem_mirror_requests_total",
            "Copies of requests for a mirrored deployment, by what became of them.",
            ("endpoint", "deployment", "outcome"),
            registry=CollectorRegistry(),
        )
        self._counted: dict[tuple[str, str, str], int] = defaultdict(int)

    def count(self, behind: tuple[str, str], outcome: str) -> None:
        """A copy has come to its end, or was not made."""
        self._counted[(*behind, outcome)] += 1

    def flush(self) -> None:
        """Write what was counted since the last time."""
        for counted, count in list(self._counted.items()):
            self._copies.labels(*counted).inc(count)
            del self._counted[counted]


class RecorderMetrics(Collector):
    """What the recorder has told of itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._told = Told()
        self._up = Gauge(
            "tandem_recorder_up", "1 while the recorder runs, where something is collected.", registry=registry
        )
        self._spool = Gauge("tandem_recorder_spool_bytes", "What waits for the store on this disk.", registry=registry)
        about = "How long the oldest recording has waited for the store."
        self._oldest = Gauge("tandem_recorder_oldest_seconds", about, registry=registry)
        about = "1 while the store of recordings cannot be reached."
        self._away = Gauge("tandem_recorder_store_away", about, registry=registry)
        registry.register(self)

    def up(self, up: bool) -> None:
        """Whether the recorder runs."""
        self._up.set(up)

    def tell(self, told: Told) -> None:
        """The recorder has told this."""
        self._told = told
        self._spool.set(told.spool_bytes)
        self._oldest.set(told.oldest_s)
        self._away.set(told.store_away)

    def collect(self) -> Iterator[Metric]:
        """The recorder's counts, which are those of all recorders of this data folder so far."""
        family = CounterMetricFamily(
            "tandem_recorder_requests_total",
            "Copies of requests that the recorder received, by what became of them.",
            labels=("model", "outcome"),
        )
        for model, outcomes in self._told.requests.items():
            for outcome in RECORDED:
                family.add_metric((model, outcome), outcomes.get(outcome, 0))
        yield family
        compared = CounterMetricFamily(
            "tandem_mirror_compared_total",
            "Answers of a mirrored deployment, by how they compare with those that callers got.",
            labels=("endpoint", "deployment", "outcome"),
        )
        for name, outcomes in self._told.compared.items():
            for outcome, count in outcomes.items():
                compared.add_metric((*name.split("/"), outcome), count)
        yield compared
