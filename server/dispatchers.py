"""The ways from this process to the pools: a dispatcher for each. Web processes and the engine have one each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from server.config import Settings
from server.dispatch.board import Board
from server.dispatch.dispatcher import Dispatcher
from server.dispatch.messages import Generation, Limits, ModelPolicy
from server.dispatch.state import DispatchState
from server.wire.snapshot import Entry, Snapshot

MAX_BATCH_REQUESTS = 1024
ABANDON_AFTER_S = 1.0
FORKED = ("r", "python")
"""Runtimes whose workers are forked, so that one that was killed is replaced within milliseconds."""
NO_GENERATION = 1 << 31
"""Higher than any real generation: switching to it retires every worker of the pool."""


class Dispatchers(Mapping[str, Dispatcher]):
    """A dispatcher for each pool, by the pool's name."""

    def __init__(
        self,
        settings: Settings,
        kill: Callable[[str, str], None],
        on_batch: Callable[[str, int, float, float, float], None] | None = None,
        board: Board | None = None,
    ) -> None:
        self._settings = settings
        self._kill = kill
        self._on_batch = on_batch
        self._board = board
        self._by_pool: dict[str, Dispatcher] = {}

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
            models = {e.model_key: _policy(e) for e in ready}
            workers = frozenset(pool.workers)
            self._by_pool[name].switch(Generation(name, pool.generation, models, workers, pool.model_share))
        for name in self._by_pool.keys() - snapshot.pools.keys():
            self._leave(name)

    def by_runtime(self) -> dict[str, list[DispatchState]]:
        """The state of each way to a pool, by the pool's runtime."""
        found: dict[str, list[DispatchState]] = {}
        for name, dispatcher in self._by_pool.items():
            found.setdefault(label(name), []).append(dispatcher.state)
        return found

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
        return Dispatcher(limits, settings.max_payload_bytes, self._kill, self._on_batch, self._board)


def _policy(entry: Entry) -> ModelPolicy:
    """Each request has a row at least, so no more of them can be joined than rows."""
    most = min(MAX_BATCH_REQUESTS, entry.max_rows or MAX_BATCH_REQUESTS) if entry.rowwise else 1
    return ModelPolicy(entry.name, most, entry.current)


def label(pool: str) -> str:
    """The runtime of a pool, for metrics: their labels come from a closed set, which pools' names do not."""
    return pool.removesuffix("-unsigned").rstrip("0123456789")
