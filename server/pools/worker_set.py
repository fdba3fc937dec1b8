"""The workers of one pool: forks, watches, refills, replaces and retires them.

A worker that dies has its place refilled, one that asks for it is replaced, one of an older generation finishes what it
holds, and one that uses too much memory or has been stopped is killed.

Which models the workers serve, and from which template they are forked, is the pool's business (`pool.py`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Protocol

from server.config import Settings
from server.pools.environment import EnvironmentFailed
from server.pools.memory_ceiling import ceiling_bytes
from server.pools.plan import PoolPlan
from server.pools.tasks import Backoff, Tasks
from server.pools.template import Template, TemplateLost
from server.pools.watchdog import LOOK_EVERY_S, Watchdog
from server.pools.worker import NeverAnswered, Worker

log = logging.getLogger(__name__)

DRAIN_MARGIN_S = 5.0
"""Time that a draining worker is given beyond the longest call (TANDEM_TIMEOUT_S) before it is killed."""
CANNOT_START = (TemplateLost, NeverAnswered, EnvironmentFailed)
"""What is raised where workers cannot be started at present. Recoverable: try again later."""
NO_WORKERS = "workers cannot be started"
"""The reason that /health/ready gives for a pool of which this is so."""


class Owner(Protocol):
    """What a set of workers asks of the pool that it belongs to."""

    @property
    def wanted(self) -> int:
        """How many workers there should be; 0 while no model serves."""

    async def source(self) -> Template | None:
        """A template that holds every model that serves; None if a new generation has been made instead.

        Raises what CANNOT_START lists.
        """

    def undisturbed(self) -> Awaitable[bool]:
        """Whether the files that workers read by themselves are still what they were."""

    def publish(self) -> Awaitable[None]:
        """Tell the web processes which workers there are."""

    def on_changed_others(self, model_key: str, why: str) -> None:
        """The model with this key has changed a worker in a way that other models notice."""


class WorkerSet:
    """The workers of the generation that serves, and older ones that finish what they hold."""

    def __init__(
        self,
        plan: PoolPlan,
        run_dir: Path,
        scratch: Path,
        settings: Settings,
        owner: Owner,
        tasks: Tasks,
        backoff: Backoff,
        on_end: Callable[[str, str], None],
        on_refill: Callable[[str, float], None],
    ) -> None:
        self.plan = plan
        self.settings = settings
        self.generation = 0
        """Number of the generation that serves; 0 before the first."""
        self.size = plan.size
        """How many workers that generation has when all its places are filled."""
        self.reason: str | None = None
        """Why workers cannot be started at present; None while they can."""
        self.changing = asyncio.Lock()
        """Held while workers are forked, so that only one change of the pool happens at a time."""
        self._run_dir = run_dir
        self._scratch = scratch
        self._owner = owner
        self._tasks = tasks
        self._backoff = backoff
        self._on_end = on_end
        self._on_refill = on_refill
        self._workers: dict[int, Worker] = {}
        self._retiring: dict[str, Worker] = {}
        self._names = 0
        self._guarded = False

    def pids(self) -> list[int]:
        """Process ids of the workers that serve."""
        return [w.fork.pid for w in self._workers.values()]

    def sockets(self) -> dict[str, str]:
        """Names of the workers that serve, with the paths of their sockets."""
        return {w.name: str(w.socket_path) for w in self._workers.values()}

    def read(self) -> list[frozenset[str]]:
        """The keys of all models that a worker's template had read when it was forked, for each worker that serves."""
        return [w.read for w in self._workers.values()]

    def kill(self, name: str, reason: str) -> None:
        """Kill a worker by its name, if it belongs to this set."""
        for worker in self._all():
            if worker.name == name:
                log.warning("worker killed", extra={"worker": name, "pool": self.plan.name, "reason": reason})
                worker.kill(reason)

    async def fork(self, template: Template, size: int) -> dict[int, Worker]:
        """Fork workers for the next generation; all have answered. Raises what CANNOT_START lists, and keeps none."""
        return await self._forked(template, range(1, size + 1), self.generation + 1)

    def turn(self, new: dict[int, Worker], size: int) -> list[Worker]:
        """Put the next generation in the place of the one that served, whose workers are returned to be retired."""
        old = list(self._workers.values())
        self.generation += 1
        self.size = size
        self._workers = new
        self._works_again()
        for worker in new.values():
            self._tasks.start(self._watch(worker))
        if not self._guarded:
            self._guarded = True
            self._tasks.start(self._guard())
        return old

    def retire(self, workers: Iterable[Worker]) -> None:
        """Let workers finish what they hold and leave, in the background."""
        for worker in workers:
            self._retiring[worker.name] = worker  # at once: where the pool stops before the task runs, it drains these
            self._tasks.start(self._retire(worker))

    async def drain(self, timeout_s: float) -> None:
        """Let all workers finish what they hold and leave. Those that take longer than `timeout_s` are killed."""
        workers = self._all()
        await asyncio.gather(*(w.drain(timeout_s) for w in workers))
        for worker in workers:
            worker.forget()

    def _all(self) -> list[Worker]:
        return [*self._workers.values(), *self._retiring.values()]

    def _works_again(self) -> None:
        self._backoff.reset()
        self.reason = None

    async def _forked(self, template: Template, slots: Iterable[int], generation: int) -> dict[int, Worker]:
        """Fork workers for these places and wait until all have answered. If one does not, none is kept."""
        workers: list[Worker] = []
        try:
            for slot in slots:
                workers.append(await self._fork(template, slot, generation))
            await _answered(workers, self.plan.answer_timeout_s)
            if not await self._owner.undisturbed():
                raise NeverAnswered("a model's file was replaced while workers read it")
        except BaseException:  # also where the pool is stopped meanwhile
            for worker in workers:
                worker.kill("never_answered")
                worker.forget()
            raise
        return {w.slot: w for w in workers}

    async def _fork(self, template: Template, slot: int, generation: int) -> Worker:
        self._names += 1
        name = f"{self.plan.name}-{slot}.{self._names}"
        path = self._run_dir / f"{name}.sock"
        scratch = self._scratch / name
        fork = await template.fork(slot, path, secrets.randbits(31), scratch)
        return Worker(name, slot, generation, path, scratch, fork, frozenset(template.read))

    async def _watch(self, worker: Worker) -> None:
        """Wait for a worker's end and refill its place; replace it before, if it asks to be replaced."""
        try:
            if await worker.worn():
                if worker.changed is not None:
                    self._owner.on_changed_others(*worker.changed)
                await self._replace(worker)
            await worker.fork.ended()
        finally:
            if not worker.fork.alive:  # also where the pool stops at this moment
                worker.forget()
        if self._workers.get(worker.slot) is not worker or self._tasks.stopped:
            return
        del self._workers[worker.slot]
        reason = worker.killed_for or "crashed"
        self._on_end(self.plan.runtime, reason)
        log.warning("worker ended", extra={"worker": worker.name, "pool": self.plan.name, "reason": reason})
        await self._refill(worker.slot)

    async def _replace(self, worker: Worker) -> None:
        """Fork another worker for a worn one's place, which serves until then. Only one of a pool at a time."""
        while worker.fork.alive and not self._tasks.stopped:
            async with self.changing:
                if self._workers.get(worker.slot) is not worker:
                    return
                if await self._filled(worker.slot):
                    self.retire([worker])
                    self._on_end(self.plan.runtime, "changed" if worker.changed else "recycled")
                    log.info("worker replaced", extra={"pool": self.plan.name, "worker": worker.name})
                    return
            await self._backoff.wait()

    async def _refill(self, slot: int) -> None:
        """Fork a worker for a place whose worker has ended; try again until it works or the place is not wanted."""
        started = time.monotonic()
        while not self._tasks.stopped:
            async with self.changing:
                if slot in self._workers or slot > self._owner.wanted:
                    return
                if await self._filled(slot):
                    took_s = time.monotonic() - started
                    self._on_refill(self.plan.runtime, took_s)
                    about = {"pool": self.plan.name, "worker": self._workers[slot].name}
                    log.info("worker refilled", extra=about | {"seconds": round(took_s, 4)})
                    return
            await self._backoff.wait()

    async def _filled(self, slot: int) -> bool:
        """Fork a worker for a place. False if that cannot be done, or if another generation has turned instead."""
        try:
            template = await self._owner.source()
            if template is None:
                return False
            new = await self._forked(template, [slot], self.generation)
        except CANNOT_START as e:
            log.error("worker cannot be refilled", extra={"pool": self.plan.name, "reason": type(e).__name__})
            if self.reason is None:
                self.reason = NO_WORKERS
                await self._owner.publish()
            return False
        self._works_again()
        self._workers |= new
        self._tasks.start(self._watch(new[slot]))
        await self._owner.publish()
        return True

    async def _retire(self, worker: Worker) -> None:
        await worker.drain(self.settings.timeout_s + DRAIN_MARGIN_S)
        del self._retiring[worker.name]

    async def _guard(self) -> None:
        """Kill workers that use more memory than their own limits can catch, and those that have been stopped."""
        watchdog = Watchdog()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for worker, reason in watchdog.look(self._all(), ceiling_bytes(self.settings)):
                self.kill(worker.name, reason)


async def _answered(workers: Iterable[Worker], timeout_s: float) -> None:
    """Wait until all have answered. Once one has failed to, the others are waited for no more. Raises NeverAnswered."""
    answers = [asyncio.create_task(worker.answer(timeout_s)) for worker in workers]
    try:
        await asyncio.gather(*answers)
    finally:
        for answer in answers:
            answer.cancel()
        await asyncio.wait(answers)
