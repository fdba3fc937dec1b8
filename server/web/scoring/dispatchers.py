"""The ways from this web process to the pools: a dispatcher for each, and their gauges."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from server.catalog.snapshot import Entry, Snapshot
from server.config import Settings
from server.dispatch.board import Board, NoLane
from server.dispatch.dispatcher import Dispatcher
from server.dispatch.messages import Generation, Limits, ModelPolicy
from server.dispatch.state import DispatchState
from server.metrics import WebMetrics

log = logging.getLogger(__name__)

MAX_BATCH_REQUESTS = 1024
ABANDON_AFTER_S = 1.0
FORKED = ("r", "python")
"""Runtimes whose workers are forked, so that one that was killed is replaced within milliseconds."""
NO_GENERATION = 1 << 31
"""Higher than any real generation: switching to it retires every worker of the pool."""


class Dispatchers(Mapping[str, Dispatcher]):
    """A dispatcher for each pool, by the pool's name."""

    def __init__(
        self, settings: Settings, metrics: WebMetrics, kill: Callable[[str, str], None], run_dir: Path | None
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._kill = kill
        self._board = _board(run_dir) if run_dir is not None and settings.web_workers > 1 else None
        self._by_pool: dict[str, Dispatcher] = {}
        self._measured: Collection[str] = ()
        """Labels whose gauges are set."""

    def __getitem__(self, pool: str) -> Dispatcher:
        return self._by_pool[pool]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_pool)

    def __len__(self) -> int:
        return len(self._by_pool)

    async def connect(self, snapshot: Snapshot) -> None:
        """Connect the workers of every pool; they get no request before `switch`."""
        for name, pool in snapshot.pools.items():
            if name not in self._by_pool:
                self._by_pool[name] = self._dispatcher(label(name))
            await self._by_pool[name].connect(pool.generation, pool.workers)

    def switch(self, snapshot: Snapshot) -> None:
        """Have the workers of this catalog's pools serve, in one step. Pools that have left finish what they hold."""
        for name, pool in snapshot.pools.items():
            ready = [e for e in snapshot.entries if e.pool == name and e.state == "ready"]
            models = {e.key: _policy(e) for e in ready}
            workers = frozenset(pool.workers)
            self._by_pool[name].switch(Generation(name, pool.generation, models, workers, pool.model_share))
        for name in self._by_pool.keys() - snapshot.pools.keys():
            self._leave(name)

    def measure(self) -> None:
        """Set the gauges."""
        now = time.monotonic()
        by_label: dict[str, list[DispatchState]] = {pool: [] for pool in self._measured}  # one that has gone has none
        for name, dispatcher in self._by_pool.items():
            by_label.setdefault(label(name), []).append(dispatcher.state)
        for runtime, states in by_label.items():
            waiting = sum(state.queued_requests for state in states)
            inflight = sum(state.inflight_requests for state in states)
            longest_wait_s = max((state.longest_wait_s(now) for state in states), default=0.0)
            self._metrics.load(runtime, waiting, inflight, longest_wait_s)
        self._measured = by_label.keys()

    def close(self) -> None:
        """Close all connections."""
        for dispatcher in self._by_pool.values():
            dispatcher.close()
        if self._board is not None:
            self._board.close()

    def _leave(self, name: str) -> None:
        dispatcher = self._by_pool[name]
        dispatcher.switch(Generation(name, NO_GENERATION, {}))
        if dispatcher.state.idle:
            dispatcher.close()
            del self._by_pool[name]

    def _dispatcher(self, runtime: str) -> Dispatcher:
        settings = self._settings
        limits = Limits(
            queue_max_requests=settings.queue_max,
            queue_max_bytes=max(128 << 20, 2 * settings.max_body_bytes),
            queue_wait_s=settings.queue_wait_s,
            batch_max_requests=min(MAX_BATCH_REQUESTS, settings.batch_max_rows),
            # A worker that loads its models itself is not to be had anew in milliseconds: its call may end.
            abandon_after_s=ABANDON_AFTER_S if runtime in FORKED else settings.timeout_s,
        )
        return Dispatcher(limits, settings.max_payload_bytes, self._kill, self._metrics.batch, self._board)


def _board(run_dir: Path) -> Board | None:
    """A place on the board of busy workers; without one this process knows its own calls only."""
    try:
        return Board(run_dir)
    except (NoLane, OSError):
        log.exception("this web process cannot tell the others which workers it holds")
        return None


def _policy(entry: Entry) -> ModelPolicy:
    """Each request has a row at least, so no more of them can be joined than rows."""
    most = min(MAX_BATCH_REQUESTS, entry.max_rows or MAX_BATCH_REQUESTS) if entry.rowwise else 1
    return ModelPolicy(entry.name, most, entry.current)


def label(pool: str) -> str:
    """The runtime of a pool, for metrics: their labels come from a closed set, which pools' names do not."""
    return pool.removesuffix("-unsigned").rstrip("0123456789")
