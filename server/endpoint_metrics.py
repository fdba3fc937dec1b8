"""The instruments of endpoints: what web processes count of each request, and what the supervisor has in force."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from server.wire.snapshot import EndpointState, Entry


class EndpointMetrics:
    """What a web process counts of the requests to endpoints, flushed a few times a second."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._requests = Counter(
            "tandem_endpoint_requests_total",
            "Requests to an endpoint, by the deployment that answered and the outcome.",
            ("endpoint", "deployment", "code"),
            registry=registry,
        )
        self._rerouted = Counter(
            "tandem_endpoint_rerouted_total",
            "Requests that a deployment answered in place of another one, which had no worker.",
            ("endpoint", "deployment"),
            registry=registry,
        )
        self._counted: dict[tuple[Counter, tuple[str, ...]], int] = defaultdict(int)

    def answered(self, endpoint: str, deployment: str, code: str) -> None:
        """A request to an endpoint has been answered; by no deployment where its name is empty."""
        self._counted[self._requests, (endpoint, deployment, code)] += 1

    def rerouted(self, endpoint: str, deployment: str) -> None:
        """This deployment answers a request that another one would have, had it a worker."""
        self._counted[self._rerouted, (endpoint, deployment)] += 1

    def flush(self) -> None:
        """Write what was counted since the last time."""
        for counted, count in list(self._counted.items()):
            counter, labels = counted
            counter.labels(*labels).inc(count)
            del self._counted[counted]


class EndpointGauges:
    """What the supervisor has in force."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._traffic = Gauge(
            "tandem_endpoint_traffic_ratio",
            "Share of an endpoint's requests that a deployment is to answer.",
            ("endpoint", "deployment"),
            registry=registry,
        )
        self._ready = Gauge(
            "tandem_endpoint_ready",
            "1 for a deployment whose model can answer, 0 for one whose requests others answer.",
            ("endpoint", "deployment"),
            registry=registry,
        )
        self.refused = Gauge(
            "tandem_endpoints_refused",
            "1 while the definitions of endpoints cannot be used, and those of before stay in force.",
            registry=registry,
        )

    def tell(self, endpoints: Sequence[EndpointState], entries: Iterable[Entry]) -> None:
        """These are all endpoints, and all model versions."""
        self._traffic.clear()
        self._ready.clear()
        if not endpoints:
            return
        answering = {(entry.name, entry.version) for entry in entries if entry.state == "ready" and not entry.remote}
        for endpoint in endpoints:
            for deployment in endpoint.deployments:
                labels = endpoint.name, deployment.name
                self._traffic.labels(*labels).set(endpoint.traffic.get(deployment.name, 0) / 100)
                self._ready.labels(*labels).set((deployment.model, deployment.version) in answering)
