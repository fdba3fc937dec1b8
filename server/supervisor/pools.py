"""All pools: one for each runtime, and one of its own for each scoring script.

A script changes by getting a new pool: the old one serves until the new one has proven itself, and is then let go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from server.catalog import sidecar
from server.catalog.files import ModelFile
from server.catalog.sidecar import Sidecar, SidecarError
from server.catalog.snapshot import Entry, PoolState
from server.config import Settings
from server.supervisor import gpus
from server.supervisor.pool import Pool, PoolPlan
from server.supervisor.requirements import interpreter
from server.supervisor.shelf import catalog

log = logging.getLogger(__name__)

SHARED = ("r", "python", "torch")


class Pools:
    """Hands model files to the pools that they are for."""

    def __init__(
        self,
        run_dir: Path,
        settings: Settings,
        publish: Callable[[], Awaitable[None]],
        on_worker_end: Callable[[str, str], None],
        cores: int,
    ) -> None:
        self._settings = settings
        self._cores = cores
        self._publish = publish
        self._pool = partial(
            Pool, run_dir=run_dir, settings=settings, publish=self._published, on_worker_end=on_worker_end
        )
        self._shared = {runtime: self._pool(plan(runtime, settings, cores)) for runtime in SHARED}
        self._scripts: dict[str, tuple[ModelFile, Pool]] = {}
        """Each script with its pool, by the file's key."""
        self._latest: set[str] = set()
        """The keys of the scripts that there are now; others only serve until these do."""
        self._leaving: dict[asyncio.Task[None], Pool] = {}
        """Pools that finish what their workers hold, by the task that sees to it."""
        self._numbers = iter(range(1, 1 << 62))

    def __iter__(self) -> Iterator[Pool]:
        yield from self._shared.values()
        yield from (pool for _, pool in self._scripts.values())

    @property
    def settled(self) -> bool:
        """Whether every file that was seen has been answered: it serves or it is refused."""
        return all(pool.settled for pool in self)

    def entries(self) -> list[Entry]:
        """The catalog."""
        return catalog([entry for pool in self for entry in pool.entries()])

    def states(self) -> dict[str, PoolState]:
        """All pools as the web processes need them, by name."""
        return {pool.plan.name: pool.state() for pool in self}

    async def update(self, files: Sequence[ModelFile]) -> None:
        """These are all the model files there are now."""
        for runtime, pool in self._shared.items():
            await pool.update([f for f in files if f.runtime == runtime])
        scripts = {f.key: f for f in files if f.runtime == "script"}
        for key in scripts.keys() - self._scripts.keys():
            name = f"script{next(self._numbers)}"
            plan = script_plan(name, scripts[key], self._settings, self._cores)
            self._scripts[key] = scripts[key], self._pool(plan)
        self._latest = set(scripts)
        for key, file in scripts.items():
            await self._scripts[key][1].update([file])
        self._let_go()

    def kill(self, worker: str, reason: str) -> None:
        """Kill a worker by its name, whosever it is; of a pool that is leaving too, where it may hang."""
        for pool in (*self, *self._leaving.values()):
            pool.kill(worker, reason)

    async def stop(self) -> None:
        """Drain all workers and end the templates."""
        await asyncio.gather(*(pool.stop() for pool in self), *self._leaving)

    async def _published(self) -> None:
        """A pool has changed."""
        self._let_go()
        await self._publish()

    def _let_go(self) -> None:
        """Let go of the scripts that have left or been replaced; one that is not yet replaced goes on serving."""
        awaited = {f.path for key, (f, pool) in self._scripts.items() if key in self._latest and not pool.shelf.serving}
        for key, (file, pool) in list(self._scripts.items()):
            if key not in self._latest and not (pool.shelf.serving and file.path in awaited):
                del self._scripts[key]
                task = asyncio.get_running_loop().create_task(self._end(pool))
                self._leaving[task] = pool
                task.add_done_callback(self._leaving.pop)

    async def _end(self, pool: Pool) -> None:
        """First nothing is sent to its workers any more, then they leave."""
        await self._publish()
        await pool.stop()


def plan(runtime: str, settings: Settings, cores: int) -> PoolPlan:
    """A runtime's pool, as the settings have it."""
    if runtime != "torch":
        return PoolPlan(runtime, runtime, min(getattr(settings, f"{runtime}_workers"), cores))
    size = gpus.count() or 1
    threads = settings.torch_threads or cores
    _warn_of_threads(runtime, size, threads, cores)
    return PoolPlan(runtime, runtime, size, threads, answer_timeout_s=settings.load_timeout_s)


def script_plan(name: str, file: ModelFile, settings: Settings, cores: int) -> PoolPlan:
    """A script's own pool, as its sidecar has it."""
    try:
        side = sidecar.read(file.sidecar)
    except SidecarError:
        side = Sidecar()  # the probe will say what is wrong with it
    _warn_of_threads(file.name, side.workers, side.threads, cores)
    return PoolPlan(
        name=name,
        runtime="script",
        size=side.workers,
        threads=side.threads,
        answer_timeout_s=settings.load_timeout_s,
        python=partial(interpreter, file.path.with_name("requirements.txt"), settings),
    )


def _warn_of_threads(pool: str, workers: int, threads: int, cores: int) -> None:
    if workers * threads > max(workers, cores):
        about = {"pool": pool, "workers": workers, "threads": threads, "cores": cores}
        log.warning("workers times threads exceed the cores that are granted", extra=about)
