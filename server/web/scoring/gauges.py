"""The gauges of what waits for the pools and what they are at."""

from __future__ import annotations

import time
from collections.abc import Collection

from server.dispatchers import Dispatchers
from server.metrics import WebMetrics


class Gauges:
    """The gauges of this process's ways to the pools, by runtime."""

    def __init__(self, dispatchers: Dispatchers, metrics: WebMetrics) -> None:
        self._dispatchers = dispatchers
        self._metrics = metrics
        self._set: Collection[str] = ()
        """Labels whose gauges are set."""

    def measure(self) -> None:
        """Set the gauges. A runtime whose last pool has gone has none waiting."""
        now = time.monotonic()
        states = dict.fromkeys(self._set, ()) | self._dispatchers.by_runtime()
        for runtime, of_runtime in states.items():
            waiting = sum(state.queued_requests for state in of_runtime)
            inflight = sum(state.inflight_requests for state in of_runtime)
            longest_wait_s = max((state.longest_wait_s(now) for state in of_runtime), default=0.0)
            self._metrics.load(runtime, waiting, inflight, longest_wait_s)
        self._set = states.keys()
