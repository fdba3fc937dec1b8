"""The gauges of what waits for the pools."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from server.config import Settings
from server.dispatch.dispatcher import Refused
from server.dispatch.messages import Request
from server.dispatchers import Dispatchers
from server.web.scoring.gauges import Gauges
from server.wire.snapshot import Entry, PoolState, Snapshot

ENTRY = Entry("a", "v1", "script", "script3", "ready", "a/1", "a", False, 1, 0.0, current=True)


class Metrics:
    """What was set last, by runtime."""

    def __init__(self) -> None:
        self.set: dict[str, tuple[int, int, float]] = {}

    def load(self, runtime: str, waiting: int, inflight: int, longest_wait_s: float) -> None:
        self.set[runtime] = waiting, inflight, longest_wait_s


def test_a_pool_that_has_gone_has_nobody_waiting() -> None:
    async def scenario() -> None:
        metrics: Any = Metrics()
        dispatchers = Dispatchers(Settings(), lambda *_: None)
        gauges = Gauges(dispatchers, metrics)
        snapshot = Snapshot(1, (ENTRY,), {"script3": PoolState(1)}, complete=True)
        await dispatchers.connect(snapshot)
        dispatchers.switch(snapshot)
        now = time.monotonic()
        request = Request("script3", "a", "a/1", None, 10, now + 60, now)
        waiting = dispatchers["script3"].score(request)
        gauges.measure()
        assert metrics.set["script"][:2] == (1, 1)
        assert metrics.set["script"][2] > 0
        dispatchers["script3"].abandon(request)
        with pytest.raises(Refused):
            await waiting
        dispatchers.switch(Snapshot(2, (), {}, complete=True))
        gauges.measure()
        assert metrics.set == {"script": (0, 0, 0.0)}
        dispatchers.close()

    asyncio.run(scenario())
