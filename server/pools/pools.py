"""All pools: one for each runtime, and one of its own for each scoring script and each model that wants or needs one.

A setting may have models without a good signature share other pools than signed ones, or give each model its own. A
sidecar says that a model wants one; that it needs one, because it would change its neighbours' answers, is found out.
A model with a pool of its own changes by getting a new pool, and one that begins or ceases to want one moves
to another pool. In each case the old pool serves until the new one has proven itself, and then lets the model go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from server.catalog import sidecar
from server.catalog.files import ModelFile
from server.catalog.sidecar import SidecarError
from server.config import Settings
from server.daemon_thread import in_daemon_thread
from server.machine import gpus
from server.pools import memory_ceiling
from server.pools.models import catalog, unserved_entry
from server.pools.plan import PoolPlan, no_environment
from server.pools.pool import Pool
from server.pools.virtual_environment import installed
from server.pools.worker_set import DRAIN_MARGIN_S
from server.wire.snapshot import Entry, PoolState

log = logging.getLogger(__name__)

SHARED = ("r", "python", "torch")
Known = tuple[Path, str]
"""Path and key of a model file, which together tell it from all others."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a model's sidecar asks of its workers. `workers` is None where the pool of its runtime will do.

    `requirements` is the file of the packages of its own environment, which only a pool of its own can have.
    """

    workers: int | None = None
    threads: int = 1
    requirements: Path | None = None

    @property
    def alone(self) -> bool:
        """Whether the model wants a pool of its own."""
        return self.workers is not None or self.requirements is not None


NOTHING_SPECIAL = Wish()


class Pools:
    """Hands model files to the pools that they are for."""

    def __init__(
        self,
        run_dir: Path,
        settings: Settings,
        publish: Callable[[], Awaitable[None]],
        on_worker_end: Callable[[str, str], None],
        on_refill: Callable[[str, float], None],
        cores: int,
    ) -> None:
        self._settings = settings
        self._cores = cores
        self._publish = publish
        self._pool = partial(
            Pool,
            run_dir=run_dir,
            settings=settings,
            publish=self._published,
            on_worker_end=on_worker_end,
            on_refill=on_refill,
        )
        self._shared = {runtime: self._shared_pool(runtime, runtime) for runtime in SHARED}
        self._own: dict[Known, tuple[ModelFile, Pool]] = {}
        """The pools of one model, each with its file."""
        self._assigned: dict[Path, tuple[ModelFile, Pool]] = {}
        """Pool that should serve each present file. Another pool may still serve it until this one is ready."""
        self._unserved: dict[Path, ModelFile] = {}
        """Files in the model folders that no pool can serve, with the reason."""
        self._wishes: dict[Known, Wish] = {}
        self._isolated: dict[Known, str] = {}
        """Models that were found to need a pool of their own, and why."""
        self._leaving: dict[asyncio.Task[None], Pool] = {}
        """Pools whose workers finish what they hold before they end, by the task that ends them."""
        self._numbers = iter(range(1, 1 << 62))
        self._warned_of = 0
        memory_ceiling.check(settings)

    def __iter__(self) -> Iterator[Pool]:
        yield from self._shared.values()
        yield from (pool for _, pool in self._own.values())

    @property
    def settled(self) -> bool:
        """Whether every file that was seen has been answered: it serves or it is refused."""
        return all(pool.settled for pool in self)

    def progress(self) -> tuple[int, int]:
        """How many of the files that were seen serve or are refused, and how many there are."""
        loading = sum(len(pool.models.loading) for pool in self)
        return len(self._assigned) - loading, len(self._assigned)

    def serving_paths(self) -> set[Path]:
        """The files that serve, or served until something else came to lie there."""
        return {path for pool in self for path in pool.models.serving}

    def entries(self) -> list[Entry]:
        """The catalog."""
        told = [unserved_entry(file) for file in self._unserved.values()]
        return catalog([entry for pool in self for entry in pool.models.entries()] + told)

    def states(self) -> dict[str, PoolState]:
        """All pools as the web processes need them, by name."""
        return {pool.plan.name: pool.state() for pool in self}

    async def update(self, files: Sequence[ModelFile]) -> None:
        """Hand the files to their pools. They are all the files that there are now; the caller publishes the change."""
        self._tell_unserved({file.path: file for file in files if file.refused is not None})
        files = [file for file in files if file.refused is None]
        new = [file for file in files if _known(file) not in self._wishes]
        wishes = self._wishes | await in_daemon_thread(_wishes, new)
        kept = {_known(file) for file in files} | self._own.keys()
        self._wishes = {known: wish for known, wish in wishes.items() if known in kept}
        self._isolated = {known: why for known, why in self._isolated.items() if known in kept}
        self._assigned = {file.path: (file, self._home(file)) for file in files}
        self._hand_out()

    def _hand_out(self) -> None:
        self._let_go()
        self._warn_of_threads()
        for pool in list(self):
            pool.update([*self._at_home(pool), *self._guests(pool)])

    def _isolate(self, file: ModelFile, why: str) -> None:
        """Give a model a pool of its own, because it was found to need one. Until that serves it stays where it is."""
        current, _ = self._assigned.get(file.path, (None, None))
        if current is None or _known(current) != _known(file) or _known(file) in self._isolated:
            return  # it has changed or gone meanwhile
        log.info("model gets a pool of its own", extra={"model": file.name, "version": file.version, "reason": why})
        self._isolated[_known(file)] = why
        self._assigned[file.path] = current, self._home(current)
        self._hand_out()

    def kill(self, worker: str, reason: str) -> None:
        """Kill a worker by its name, in whichever pool it is; also in one that is leaving, where it may hang."""
        for pool in (*self, *self._leaving.values()):
            pool.kill(worker, reason)

    async def change(self, settings: Settings) -> None:
        """Serve under other settings; one pool after the other, so that not all hold their models twice at once."""
        self._settings = settings
        memory_ceiling.check(settings)
        self._pool = partial(self._pool, settings=settings)
        for name, pool in self._shared.items():
            await pool.change(plan(pool.plan.runtime, settings, self._cores, name), settings)
        for known, (file, pool) in list(self._own.items()):
            if known in self._own:  # else it has left meanwhile
                wish = self._wishes.get(known, Wish())
                await pool.change(own_plan(pool.plan.name, file, wish, settings, pool.plan.isolated), settings)
        self._warn_of_threads()

    async def stop(self) -> None:
        """Drain all workers and end the templates."""
        await asyncio.gather(*(pool.stop() for pool in (*self, *self._leaving.values())), *self._leaving)

    def _tell_unserved(self, files: dict[Path, ModelFile]) -> None:
        for path, file in files.items():
            known = self._unserved.get(path)
            if file.refused is not None and (known is None or known.refused != file.refused):
                about = {"model": file.name, "version": file.version, "code": file.refused.code}
                log.warning("model refused", extra=about | {"reason": file.refused.reason})
        self._unserved = files

    # Which model is where

    def _home(self, file: ModelFile) -> Pool:
        """The pool that a file is for; made if it is to have one of its own."""
        wish, isolated = self._wishes.get(_known(file), Wish()), self._isolated.get(_known(file))
        if file.runtime in SHARED and not wish.alone and isolated is None and self._settings.pools != "model":
            return self._shared_with(file)
        if _known(file) not in self._own:
            name = f"{file.runtime}{next(self._numbers)}"
            self._own[_known(file)] = file, self._pool(own_plan(name, file, wish, self._settings, isolated))
        return self._own[_known(file)][1]

    def _shared_with(self, file: ModelFile) -> Pool:
        """The pool that the model shares with others of its runtime: all others, or those signed or not as it is."""
        signed = file.signed is not None and file.signed.outcome == "verified"
        name = file.runtime if signed or self._settings.pools == "runtime" else f"{file.runtime}-unsigned"
        if name not in self._shared:
            self._shared[name] = self._shared_pool(file.runtime, name)
        return self._shared[name]

    def _shared_pool(self, runtime: str, name: str) -> Pool:
        return self._pool(plan(runtime, self._settings, self._cores, name), on_isolated=self._isolate)

    def _at_home(self, pool: Pool) -> list[ModelFile]:
        return [file for file, home in self._assigned.values() if home is pool]

    def _guests(self, pool: Pool) -> list[ModelFile]:
        """Files that a pool serves in place of another pool, which does not serve them yet."""
        serving = [proven.file for proven in pool.models.serving.values()]
        return [file for file in serving if file.path in self._assigned and self._assigned[file.path][1] is not pool]

    def _let_go(self) -> None:
        """Have models leave the pools that only stood in for others, and pools leave whose model has left."""
        served = {path for path, (file, home) in self._assigned.items() if home.models.serves(file)}
        for pool in self._shared.values():
            pool.let_go({file.path for file in self._guests(pool)} & served)
        for known, (file, pool) in list(self._own.items()):
            at_home = file.path in self._assigned and self._assigned[file.path][1] is pool
            stands_in = bool(self._guests(pool)) and file.path not in served
            if not at_home and not stands_in:
                del self._own[known]
                task = asyncio.get_running_loop().create_task(self._end(pool))
                self._leaving[task] = pool
                task.add_done_callback(self._leaving.pop)

    async def _published(self) -> None:
        """Publish the change of a pool, and let go of the models and pools that this change has made needless."""
        self._let_go()
        await self._publish()

    async def _end(self, pool: Pool) -> None:
        """End a pool: first nothing is sent to its workers any more, then they finish what they hold."""
        await self._publish()
        await pool.stop(self._settings.timeout_s + DRAIN_MARGIN_S)

    def _warn_of_threads(self) -> None:
        """Calls that compute with several threads slow down other processes that compute, if the cores are too few.

        Workers of one thread each, however many, only wait for each other; so do those that have a thread for each core
        because nobody has said how many.
        """
        threads = {pool.plan.name: self._threads(pool) for pool in self}
        asked = sum(pool.plan.size * threads[pool.plan.name] for pool in self)
        stated = sorted(pool.plan.name for pool in self if threads[pool.plan.name] > 1 and self._states_threads(pool))
        if stated and asked > max(self._cores, self._warned_of):
            about = {"pool": ", ".join(stated), "threads": asked, "cores": self._cores}
            log.warning("workers times threads of all pools exceed the cores that are granted", extra=about)
        self._warned_of = asked if stated else 0

    def _threads(self, pool: Pool) -> int:
        """How many threads a call to one of the pool's models may use; 0 if it has none."""
        return max((max(pool.plan.threads, wish.threads) for wish in self._wishes_in(pool)), default=0)

    def _states_threads(self, pool: Pool) -> bool:
        return self._settings.torch_threads > 1 or any(wish.threads > 1 for wish in self._wishes_in(pool))

    def _wishes_in(self, pool: Pool) -> list[Wish]:
        return [self._wishes.get(_known(file), Wish()) for file in self._at_home(pool)]


def _known(file: ModelFile) -> Known:
    return file.path, file.model_key


def _wishes(files: Iterable[ModelFile]) -> dict[Known, Wish]:
    """The wishes in the files' sidecars. A bad sidecar is left out; the probe will say what is wrong with it."""
    wishes = {}
    for file in files:
        wish = wish_of(file)
        if wish is not None:
            wishes[_known(file)] = wish if wish != NOTHING_SPECIAL else NOTHING_SPECIAL  # one for all of very many
    return wishes


def wish_of(file: ModelFile) -> Wish | None:
    """The wish in a model's sidecar; None where the sidecar is bad, or must not be read."""
    if file.signed is not None and file.signed.refused:
        return None
    try:
        side = sidecar.read(file.sidecar, file.runtime, file.folder)
    except SidecarError:
        return None
    return Wish(side.workers, side.threads, file.requirements)


def plan(runtime: str, settings: Settings, cores: int, name: str | None = None) -> PoolPlan:
    """A pool of a runtime that models share, as the settings have it; called as the runtime if it has no other name."""
    name = name or runtime
    if runtime != "torch":
        return PoolPlan(name, runtime, min(getattr(settings, f"{runtime}_workers"), cores), spares=True)
    threads = settings.torch_threads or cores
    return PoolPlan(name, runtime, gpus.count() or 1, threads, answer_timeout_s=settings.load_timeout_s)


def own_plan(name: str, file: ModelFile, wish: Wish, settings: Settings, isolated: str | None = None) -> PoolPlan:
    """A model's own pool, as its sidecar has it; `isolated` says why it needs one, where that was found out."""
    size = wish.workers or 1
    environment = (
        no_environment if wish.requirements is None else partial(installed, wish.requirements, settings, file.runtime)
    )
    if file.runtime != "script":
        # One thread in its template, which loads the models and forks: scikit-learn is granted more call by call.
        return PoolPlan(
            name=name,
            runtime=file.runtime,
            size=size,
            answer_timeout_s=settings.load_timeout_s,
            isolated=isolated,
            environment=environment,
        )
    return PoolPlan(
        name=name,
        runtime=file.runtime,
        size=size,
        threads=wish.threads,
        answer_timeout_s=settings.load_timeout_s,
        environment=environment,
    )
