"""What this web process serves at the moment: the snapshot in force, the routes it implies, the ways to the pools.

Follows the supervisor over the control socket. A new snapshot takes effect between two requests: first the new workers
are connected, then routes and dispatch switch in one step, then it is confirmed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import orjson

from server.catalog.snapshot import Entry, Snapshot
from server.config import Settings
from server.dispatch.board import Board, NoLane
from server.dispatch.dispatcher import Dispatcher
from server.dispatch.messages import Generation, Limits, ModelPolicy
from server.dispatch.state import DispatchState
from server.metrics import WebMetrics
from server.unix_sockets import address

log = logging.getLogger(__name__)

SNAPSHOT_MAX_BYTES = 1 << 30
MAX_BATCH_REQUESTS = 1024
ABANDON_AFTER_S = 1.0
FORKED = ("r", "python")
"""Runtimes whose workers are there again at once."""
GONE = 1 << 31
"""A generation that comes after all others."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a scoring path leads."""

    entry: Entry
    timeout_s: float
    pinned: bool
    dispatcher: Dispatcher | None
    """The way to the workers; None where another server has the model."""
    url: str = ""
    """Where that server answers for it."""
    raw: bool = False
    """Whether a script takes the body as it is."""


class Serving:
    """The current snapshot and everything derived from it."""

    def __init__(self, settings: Settings, metrics: WebMetrics, run_dir: Path | None = None) -> None:
        self._settings = settings
        self._board = _board(run_dir) if run_dir is not None and settings.web_workers > 1 else None
        self._metrics = metrics
        self.snapshot = Snapshot(0, (), {}, complete=False)
        self.targets: dict[str, Target] = {}
        self.switched = asyncio.Event()
        """Set once there is a catalog: before, nobody is to be answered that a model is unknown."""
        self._dispatchers: dict[str, Dispatcher] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._measured: Collection[str] = ()
        """The pools whose gauges are set."""

    async def follow(self, hub: Path) -> None:
        """Take snapshots from the supervisor until it is gone."""
        with address(hub) as name:
            reader, self._writer = await asyncio.open_unix_connection(name, limit=SNAPSHOT_MAX_BYTES)
        try:
            while line := await reader.readline():
                snapshot = Snapshot.from_data(orjson.loads(line))
                await self._switch(snapshot)
                self.switched.set()
                self._tell({"confirmed": snapshot.serial})
        finally:
            self._writer.close()
            self._writer = None

    def not_ready(self) -> dict[str, str]:
        """Why this process cannot serve, by pool; empty when it can."""
        if self._writer is None or not self.snapshot.complete:
            return {"catalog": "the models are being looked at"}
        if self.snapshot.draining:
            return {"server": "draining"}
        reasons = {}
        for name, pool in self.snapshot.pools.items():
            serves = any(e.pool == name and e.state == "ready" for e in self.snapshot.entries)
            if serves and not self._dispatchers[name].state.workers:
                reasons[name] = pool.reason or "no worker is ready"
        return reasons

    def measure(self) -> None:
        """Set the gauges."""
        now = time.monotonic()
        by_pool: dict[str, list[DispatchState]] = {pool: [] for pool in self._measured}  # one that has gone has none
        for name, dispatcher in self._dispatchers.items():
            by_pool.setdefault(label(name), []).append(dispatcher.state)
        for pool, states in by_pool.items():
            waiting = sum(state.queued_requests for state in states)
            inflight = sum(state.inflight_requests for state in states)
            longest_wait_s = max((state.longest_wait_s(now) for state in states), default=0.0)
            self._metrics.load(pool, waiting, inflight, longest_wait_s)
        self._measured = by_pool.keys()

    def close(self) -> None:
        """Close all connections."""
        for dispatcher in self._dispatchers.values():
            dispatcher.close()
        if self._board is not None:
            self._board.close()
        if self._writer is not None:
            self._writer.close()

    async def _switch(self, snapshot: Snapshot) -> None:
        for name, pool in snapshot.pools.items():
            if name not in self._dispatchers:
                self._dispatchers[name] = self._dispatcher(label(name))
            await self._dispatchers[name].connect(pool.generation, pool.workers)
        # From here on nothing waits: between two requests, everything changes.
        for name, pool in snapshot.pools.items():
            ready = [e for e in snapshot.entries if e.pool == name and e.state == "ready"]
            models = {e.key: _policy(e) for e in ready}
            workers = frozenset(pool.workers)
            self._dispatchers[name].switch(Generation(name, pool.generation, models, workers, pool.model_share))
        for name in self._dispatchers.keys() - snapshot.pools.keys():
            self._leave(name)
        self.snapshot = snapshot
        self.targets = self._routes(snapshot)

    def _leave(self, name: str) -> None:
        """A script's pool has gone: let its workers finish what they hold."""
        dispatcher = self._dispatchers[name]
        dispatcher.switch(Generation(name, GONE, {}))
        if dispatcher.state.idle:
            dispatcher.close()
            del self._dispatchers[name]

    def unheard(self) -> list[str]:
        """Other servers that have not told yet which models they have."""
        return [name for name, remote in self.snapshot.remotes.items() if not remote.heard]

    def _routes(self, snapshot: Snapshot) -> dict[str, Target]:
        targets: dict[str, Target] = {}
        for entry in snapshot.entries:
            if entry.state != "ready" and entry.code != "remote_unavailable":
                continue
            path = f"/v1/models/{entry.name}"
            pinned = f"{path}/versions/{entry.version}/score"
            targets[pinned] = self._target(snapshot, entry, pinned)
            if entry.current:
                targets[f"{path}/score"] = self._target(snapshot, entry, f"{path}/score", pinned=False)
        return targets

    def _target(self, snapshot: Snapshot, entry: Entry, path: str, pinned: bool = True) -> Target:
        timeout_s = min(entry.timeout_s or self._settings.timeout_s, self._settings.timeout_s)
        if entry.remote:
            return Target(entry, timeout_s, pinned, None, snapshot.remotes[entry.remote].url + path)
        raw = bool(entry.schema and entry.schema.get("raw"))
        return Target(entry, timeout_s, pinned, self._dispatchers[entry.pool], raw=raw)

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
        return Dispatcher(limits, settings.max_payload_bytes, self._kill, self._on_batch, self._board)

    def _on_batch(self, model: str, requests: int, predict_s: float) -> None:
        self._metrics.batch(model, requests, predict_s)

    def _kill(self, worker: str, reason: str) -> None:
        self._tell({"kill": worker, "reason": reason})

    def _tell(self, message: dict[str, object]) -> None:
        if self._writer is not None:
            self._writer.write(orjson.dumps(message) + b"\n")


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
    """A pool's name in the metrics, where all of a runtime are one: labels come from a closed set."""
    return pool.removesuffix("-unsigned").rstrip("0123456789")
