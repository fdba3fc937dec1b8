"""The ways to the pools: their gauges."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from server.catalog.snapshot import Entry, PoolState, Snapshot
from server.config import Settings
from server.dispatch.dispatcher import Refused
from server.dispatch.messages import Request
from server.web.scoring.dispatchers import Dispatchers

ENTRY = Entry("a", "v1", "script", "script3", "ready", "a/1", "a", False, 1, 0.0, current=True)


class Gauges:
    """What was set last, by runtime."""

    def __init__(self) -> None:
        self.set: dict[str, tuple[int, int, float]] = {}

    def load(self, runtime: str, waiting: int, inflight: int, longest_wait_s: float) -> None:
        self.set[runtime] = waiting, inflight, longest_wait_s

    def batch(self, *_: object) -> None:
        pass


def test_a_pool_that_has_gone_has_nobody_waiting() -> None:
    async def scenario() -> None:
        gauges: Any = Gauges()
        dispatchers = Dispatchers(Settings(), gauges, lambda *_: None, None)
        snapshot = Snapshot(1, (ENTRY,), {"script3": PoolState(1)}, complete=True)
        await dispatchers.connect(snapshot)
        dispatchers.switch(snapshot)
        now = time.monotonic()
        request = Request("script3", "a", "a/1", None, 10, now + 60, now)
        waiting = dispatchers["script3"].score(request)
        dispatchers.measure()
        assert gauges.set["script"][:2] == (1, 1)
        assert gauges.set["script"][2] > 0
        dispatchers["script3"].abandon(request)
        with pytest.raises(Refused):
            await waiting
        dispatchers.switch(Snapshot(2, (), {}, complete=True))
        dispatchers.measure()
        assert gauges.set == {"script": (0, 0, 0.0)}
        dispatchers.close()

    asyncio.run(scenario())
