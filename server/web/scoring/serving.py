"""What this web process serves at the moment: the catalog in force, and the scoring paths that it implies.

A new catalog takes effect between two requests: first the new workers are connected, then paths and dispatch switch
in one step, then it is confirmed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from server.collect_metrics import CollectMetrics
from server.config import Settings
from server.dispatch.board import Board, NoLane
from server.dispatch.dispatcher import Usage
from server.dispatchers import Dispatchers
from server.endpoint_metrics import EndpointMetrics
from server.metrics import WebMetrics
from server.web.control import Control
from server.web.dialects.dialect import Dialects
from server.web.scoring.collector import Collector
from server.web.scoring.gauges import Gauges
from server.web.scoring.target import Target
from server.web.scoring.targets import targets
from server.wire.control import EndpointChange, EndpointChanged
from server.wire.snapshot import EndpointState, Entry, Snapshot

log = logging.getLogger(__name__)


class Serving:
    """The current catalog and everything derived from it."""

    def __init__(
        self,
        settings: Settings,
        metrics: WebMetrics,
        dialects: Dialects,
        run_dir: Path | None = None,
        on_endpoints: Callable[[tuple[EndpointState, ...]], None] = lambda _: None,
    ) -> None:
        self._on_endpoints = on_endpoints
        self.dialects = dialects
        self._timeout_s = settings.timeout_s
        self._control = Control()
        self._board = _board(run_dir) if run_dir is not None and settings.web_workers > 1 else None
        self.dispatchers = Dispatchers(settings, self._control.kill, metrics.batch, self._board)
        self.endpoint_metrics = EndpointMetrics()
        self.collect_metrics = CollectMetrics()
        self.collector = Collector(run_dir, self.collect_metrics)
        self.gauges = Gauges(self.dispatchers, metrics)
        self.snapshot = Snapshot(0, (), {}, complete=False)
        self.targets: dict[str, Target] = {}
        self.switched = asyncio.Event()
        """Set once there is a catalog: before, nobody is to be answered that a model is unknown."""

    async def follow(self, hub: Path) -> None:
        """Take catalogs from the supervisor until it is gone."""
        await self._control.follow(hub, self._switch)

    async def change(self, change: EndpointChange) -> EndpointChanged | None:
        """Have an endpoint changed; None where nobody answers. What was changed is in force here then."""
        return await self._control.change(change)

    async def lines(self, pool: str, most: int) -> str:
        """The newest lines that the model of a pool has written."""
        return await self._control.lines(pool, most)

    def not_ready(self) -> dict[str, str]:
        """Why this process cannot serve, by pool; empty when it can."""
        if not self._control.connected or not self.snapshot.complete:
            return {"catalog": "the models are being looked at"}
        if self.snapshot.draining:
            return {"server": "draining"}
        reasons = {}
        for name, pool in self.snapshot.pools.items():
            serves = any(e.pool == name and e.state == "ready" for e in self.snapshot.entries)
            if serves and not self.dispatchers[name].state.workers:
                reasons[name] = pool.reason or "no worker is ready"
        return reasons

    def unheard(self) -> list[str]:
        """Other servers that have not told yet which models they have."""
        return [name for name, remote in self.snapshot.remotes.items() if not remote.heard]

    def usage(self, entry: Entry) -> Usage | None:
        """What the workers of a model version are at; None where another server has the model."""
        dispatcher = self.dispatchers.get(entry.pool)
        return None if dispatcher is None else dispatcher.usage(entry.model_key)

    def close(self) -> None:
        """Close all connections."""
        self.dispatchers.close()
        self.collector.close()
        self._control.close()

    async def _switch(self, snapshot: Snapshot) -> None:
        await self.dispatchers.connect(snapshot)
        # From here on nothing waits: between two requests, everything changes.
        self.dispatchers.switch(snapshot)
        self.snapshot = snapshot
        self._on_endpoints(snapshot.endpoints)
        counted = self.endpoint_metrics.rerouted
        self.targets = targets(snapshot, self.dispatchers, self.dialects, self._timeout_s, counted)
        self.collector.switch(snapshot, self.dispatchers, self._timeout_s)
        self.switched.set()


def _board(run_dir: Path) -> Board | None:
    """A place on the board of busy workers; without one this process knows its own calls only."""
    try:
        return Board(run_dir)
    except (NoLane, OSError):
        log.exception("this web process cannot tell the others which workers it holds")
        return None
