"""A pool: one runtime's template and workers. Takes in model files, turns generations, refills dead workers.

A change goes through here in this order: look at each new file in a probe; load what was proven into the template;
fork a generation of workers; wait until each has answered; publish it; and only when every web process has switched
let the old generation drain. Whatever fails on the way leaves the old generation serving.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from server.catalog.files import ModelFile, identified_again, unchanged
from server.catalog.snapshot import Entry, PoolState
from server.config import Settings, changing
from server.daemon_thread import in_daemon_thread
from server.pools.environment import EnvironmentFailed
from server.pools.memory_ceiling import ceiling_bytes
from server.pools.models import Proven, Refused, Shelf
from server.pools.plan import PoolPlan
from server.pools.probing import Prober
from server.pools.template import Template, TemplateLost
from server.pools.template_keeper import ChangesOthers, FileGone, TemplateKeeper
from server.pools.watchdog import LOOK_EVERY_S, Watchdog
from server.pools.worker import NeverAnswered, Worker

log = logging.getLogger(__name__)

TOGETHER_S = 2.0
"""Files proven within this time of each other make one generation."""
CALM_S = 20.0
"""How long files that are being looked at keep a template from being renewed."""
DRAIN_MARGIN_S = 5.0
CANCEL_TIMEOUT_S = 1.0
BACKOFF_S = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
CANNOT_START = (TemplateLost, NeverAnswered, EnvironmentFailed)


class Pool:
    """All workers of one runtime, or of one model."""

    def __init__(
        self,
        plan: PoolPlan,
        run_dir: Path,
        settings: Settings,
        publish: Callable[[], Awaitable[None]],
        on_worker_end: Callable[[str, str], None],
        on_refill: Callable[[str, float], None] = lambda *_: None,
        on_isolated: Callable[[ModelFile, str], None] | None = None,
    ) -> None:
        self.plan = plan
        self.shelf = Shelf(plan.name)
        self._proven: list[Proven] = []
        """A probe was content with them; they are not in the template yet."""
        self._loaded: dict[Path, Proven] = {}
        """In the template, but not yet in a generation that serves."""
        self.generation = 0
        self.reason: str | None = None
        self._run_dir = run_dir
        self._settings = settings
        self._publish = publish
        self._on_worker_end = on_worker_end
        self._on_refill = on_refill
        self._on_isolated = on_isolated
        self._keeper = TemplateKeeper(plan, run_dir, settings, self._held, self._on_started, on_isolated)
        self._size = plan.size
        """How many workers the generation that serves has, and how many of them one model may hold (0: all)."""
        self._model_share = 0
        self._workers: dict[int, Worker] = {}
        self._retiring: dict[str, Worker] = {}
        self._changing = asyncio.Lock()
        self._prober = Prober(
            settings, self._keeper.scratch, self._keeper.living, self._on_proven, self._refuse, on_isolated
        )
        self._renewing = False
        self._renewal_s = 0.0
        """How long the latest one took."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._names = 0
        self._failures = 0
        self._stopping = False
        self._guarded = False

    # What the supervisor asks

    @property
    def facts(self) -> Mapping[str, str]:
        """What the latest template told of itself."""
        return self._keeper.facts

    @property
    def r_is_vulnerable(self) -> bool:
        """Whether the pool's R runs code as it reads a file."""
        return self._keeper.r_is_vulnerable

    def state(self) -> PoolState:
        """The pool as the web processes need it."""
        workers = {w.name: str(w.socket_path) for w in self._workers.values()}
        sandbox = self.facts.get("sandbox", "")
        return PoolState(self.generation, workers, self.reason, model_share=self._model_share, sandbox=sandbox)

    def entries(self) -> list[Entry]:
        """The pool's part of the catalog."""
        return self.shelf.entries()

    @property
    def wanted(self) -> int:
        """How many workers there should be."""
        return self._size if self.shelf.serving else 0

    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [w.fork.pid for w in self._workers.values()]

    def kill(self, name: str, reason: str) -> None:
        """Kill a worker by its name, if it is one of ours."""
        for worker in (*self._workers.values(), *self._retiring.values()):
            if worker.name == name:
                log.warning("worker killed", extra={"worker": name, "pool": self.plan.name, "reason": reason})
                worker.kill(reason)

    @property
    def settled(self) -> bool:
        """Whether every file that was seen has been answered: it serves or it is refused."""
        return not self.shelf.loading

    # Change

    def update(self, files: Sequence[ModelFile]) -> None:
        """These are all the model files there are now; serve what can be served of them, in the background."""
        gone = self.shelf.keep_only({f.path for f in files})
        self.shelf.restored(files)
        new = self.shelf.unknown(files)
        self.shelf.loading |= {f.path: f for f in new}
        if new:
            self._later(self._take_in(new))
        if gone:
            self._later(self._leave_out())

    def let_go(self, paths: set[Path]) -> None:
        """Another pool serves these files now: nothing new comes for them, and the next generation is without them."""
        if self.shelf.forget(paths):
            self._later(self._leave_out())

    async def examine_only(self, file: ModelFile) -> None:
        """Look at a file as `update` would, and leave it at that."""
        self.shelf.loading[file.path] = file
        await self._prober.examine([file])
        for proven in self._proven:
            self.shelf.serve(proven)

    async def _take_in(self, files: Sequence[ModelFile]) -> None:
        """Examine new files and serve those that are proven: together, but not waiting long for a slow one."""
        examining = asyncio.create_task(self._prober.examine(files))
        try:
            done: set[asyncio.Task[None]] = set()
            while not done:  # not `examining.done()`: what is proven while a generation turns needs another round
                done, _ = await asyncio.wait({examining}, timeout=TOGETHER_S)
                await self._serve_proven()
            await examining
        finally:
            examining.cancel()
        await self._publish()

    async def _serve_proven(self) -> None:
        async with self._changing:
            proven, self._proven = self._proven, []
            for one in proven:
                await self._load(one)
            if self._loaded:
                await self._turn_generation()
            self._renew_if_left()  # also where a model was refused when it had been read

    def _on_proven(self, proven: Proven) -> None:
        if self.plan.isolated is not None:
            proven = replace(proven, description={**proven.description, "isolated": self.plan.isolated})
        self._proven.append(proven)

    def _refuse(self, refused: Refused) -> None:
        file = refused.file
        if self.shelf.loading.get(file.path) is file:  # else it has changed or gone while it was looked at
            about = {"model": file.name, "version": file.version, "code": refused.code, "reason": refused.reason}
            log.warning("model refused", extra=about)
            self.shelf.refuse(refused)

    async def _leave_out(self) -> None:
        async with self._changing:
            await self._turn_generation()
        await self._publish()

    async def change(self, plan: PoolPlan, settings: Settings) -> None:
        """Serve under other settings: where workers have to know of them, with a new template and generation."""
        turn = (plan.size, plan.threads) != (self.plan.size, self.plan.threads)
        turn |= any(getattr(settings, name) != getattr(self._settings, name) for name in changing("workers"))
        turn |= ceiling_bytes(settings) != ceiling_bytes(self._settings)
        self.plan, self._settings, self._prober.settings = plan, settings, settings
        if not turn:
            self._keeper.plan, self._keeper.settings = plan, settings
            return
        async with self._changing:
            before = await self._keeper.change(plan, settings)
            if self.shelf.serving:
                await self._turn_generation()
            if before is not None:
                await before.stop()

    async def stop(self, timeout_s: float = DRAIN_MARGIN_S) -> None:
        """Drain all workers and end the template. By itself it is quick: when all stops, nobody waits for an answer."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:  # who was about to fork sees to it that no fork is left
            await asyncio.wait(self._tasks, timeout=CANCEL_TIMEOUT_S)
        workers = (*self._workers.values(), *self._retiring.values())
        await asyncio.gather(*(w.drain(timeout_s) for w in workers))
        await self._keeper.stop()

    # Template

    def _held(self) -> list[Proven]:
        """What the template is to hold: what serves, and what is about to."""
        return [*self.shelf.serving.values(), *self._loaded.values()]

    def _on_started(self, template: Template) -> None:
        self._later(self._watch_template(template))

    def _withdraw(self, lacking: Iterable[Refused]) -> bool:
        """Neither serve nor be about to serve what new workers will lack; whether any of it served."""
        served = False
        for refused in lacking:
            file = refused.file
            if self.shelf.withdraw(refused):
                served = True
                about = {"model": file.name, "version": file.version, "code": refused.code, "reason": refused.reason}
                log.error("a model serves no more", extra=about)
            elif file.path in self._loaded and self._loaded[file.path].file is file:
                del self._loaded[file.path]
                self._later(self._examine_again(file))
        return served

    async def _watch_template(self, template: Template) -> None:
        """When a template ends, build another; its workers go on meanwhile."""
        await template.lost.wait()
        meant = template.ending
        await template.stop()
        if self._stopping or meant:
            return
        self._on_worker_end(self.plan.runtime, "template")
        log.error("template lost", extra={"pool": self.plan.name, "pid": template.pid})
        while self.shelf.serving:
            with contextlib.suppress(TemplateLost, EnvironmentFailed):
                await self._keeper.living()
                return
            await self._backoff()

    def _renew_if_left(self) -> None:
        """See to it that processes leave which have read a model that has left."""
        if self._has_left() and not self._renewing:
            self._renewing = True
            self._later(self._renew())

    def _has_left(self) -> bool:
        held = {proven.file.key for proven in self._held()}
        return any(read - held for read in (self._keeper.read, *(w.read for w in self._workers.values())))

    async def _renew(self) -> None:
        """Put a new template and its workers in the place of those that serve, which go on until then.

        At most half of the time is spent on this, however often models change.
        """
        try:
            while self._has_left():
                await asyncio.sleep(max(TOGETHER_S, self._renewal_s))
                await self._calm()
                started = time.monotonic()
                try:
                    await self._renew_once()
                except FileGone:
                    continue  # until what is in its place serves instead, or it is back
                except CANNOT_START as e:
                    log.error("template not renewed", extra={"pool": self.plan.name, "reason": repr(e)})
                    await self._backoff()
                self._renewal_s = time.monotonic() - started
        finally:
            self._renewing = False

    async def _calm(self) -> None:
        """Let new files come first, which somebody waits for; but not for long."""
        until = time.monotonic() + CALM_S
        while self.shelf.loading and time.monotonic() < until:
            await asyncio.sleep(TOGETHER_S)

    async def _renew_once(self) -> None:
        started = time.monotonic()
        fresh = await self._keeper.fresh()
        async with self._changing:
            before = await self._keeper.take(fresh)
            await self._turn_generation()
        if before is not None:
            await before.stop()
        about = {"pool": self.plan.name, "seconds": round(time.monotonic() - started, 3)}
        log.info("template renewed, as a model that it had read has left", extra=about)

    async def _load(self, proven: Proven) -> None:
        """Put a proven model into the template, unless its file has changed meanwhile."""
        if self.shelf.loading.get(proven.file.path) is not proven.file:
            return
        try:
            failed = await self._keeper.load(proven)
        except ChangesOthers as e:
            assert self._on_isolated is not None
            self._on_isolated(proven.file, str(e))
            return
        except (TemplateLost, EnvironmentFailed):
            failed = "loading the model ended the process that holds the models"
        if not await in_daemon_thread(unchanged, proven.file):
            self._later(self._examine_again(proven.file))
        elif failed is None:
            self._loaded[proven.file.path] = proven
        else:
            self._refuse(Refused(proven.file, "load_failed", failed))

    async def _examine_again(self, file: ModelFile) -> None:
        """Newer bytes may have been read under this file's key. They come under their own, unless the old are back."""
        while self.shelf.loading.get(file.path) is file:
            await asyncio.sleep(TOGETHER_S)
            again = await in_daemon_thread(identified_again, file)
            if again is not None and self.shelf.loading.get(file.path) is file:
                self.shelf.loading[file.path] = again
                await self._take_in([again])

    # Workers

    async def _turn_generation(self) -> None:
        """Fork workers that hold what serves and what was loaded, and put them in the place of the old ones."""
        started = time.monotonic()
        try:
            template, lacking = await self._keeper.complete()
            self._withdraw(lacking)
            self._loaded = {path: p for path, p in self._loaded.items() if self.shelf.loading.get(path) is p.file}
            files = [p.file for p in (self.shelf.serving | self._loaded).values()]
            keys = [file.key for file in files]
            share = self.plan.size if self.plan.spares and len({file.name for file in files}) > 1 else 0
            size = 2 * share if share else self.plan.size
            await template.settle(keys)
            new = await self._fork_all(template, range(1, size + 1), self.generation + 1) if keys else {}
        except CANNOT_START as e:
            log.error("no new generation: the old one goes on", extra={"pool": self.plan.name, "reason": repr(e)})
            self._later(self._retry_generation())
            return
        self._failures = 0
        self.reason = None
        old = list(self._workers.values())
        self.generation += 1
        self._size, self._model_share = size, share
        self._workers = new
        still = [p for p in self._loaded.values() if self.shelf.knows(p.file.path)]
        for proven in still:
            self.shelf.serve(proven)
        if len(still) < len(self._loaded):  # the others have gone while the workers were forked
            self._later(self._leave_out())
        self._loaded = {}
        for worker in new.values():
            self._later(self._watch(worker))
        if not self._guarded:
            self._guarded = True
            self._later(self._guard())
        await self._publish()
        for worker in old:
            self._later(self._retire(worker))
        about = {"pool": self.plan.name, "generation": self.generation, "models": len(keys), "workers": len(new)}
        log.info("generation serves", extra=about | {"seconds": round(time.monotonic() - started, 3)})
        self._renew_if_left()

    async def _retry_generation(self) -> None:
        await self._backoff()
        async with self._changing:
            await self._turn_generation()

    async def _backoff(self) -> None:
        """Wait longer each time, until something has worked again."""
        await asyncio.sleep(BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)])
        self._failures += 1

    async def _fork_all(self, template: Template, slots: Iterable[int], generation: int) -> dict[int, Worker]:
        """New workers in these places, when all have answered; if one does not, none is kept."""
        workers: list[Worker] = []
        try:
            for slot in slots:
                workers.append(await self._fork(template, slot, generation))
            await asyncio.gather(*(w.answer(self.plan.answer_timeout_s) for w in workers))
            if not await self._keeper.undisturbed():
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
        scratch = self._keeper.scratch / name
        fork = await template.fork(slot, path, secrets.randbits(31), scratch)
        return Worker(name, slot, generation, path, scratch, fork, frozenset(template.read))

    async def _watch(self, worker: Worker) -> None:
        """Wait for a worker's end; refill its place if it still has one. Replace it before if it asks for that."""
        if await worker.worn():
            self._isolate(worker)
            await self._replace(worker)
        await worker.fork.ended()
        worker.forget()
        if self._workers.get(worker.slot) is not worker or self._stopping:
            return
        del self._workers[worker.slot]
        reason = worker.killed_for or "crashed"
        self._on_worker_end(self.plan.runtime, reason)
        log.warning("worker ended", extra={"worker": worker.name, "pool": self.plan.name, "reason": reason})
        await self._refill(worker.slot)

    def _isolate(self, worker: Worker) -> None:
        """Have the model that has changed a worker for the others, if one has, get a pool of its own."""
        if worker.changed is None or self._on_isolated is None:
            return
        key, why = worker.changed
        for file in [p.file for p in self.shelf.serving.values() if p.file.key == key]:
            self._on_isolated(file, why)

    async def _replace(self, worker: Worker) -> None:
        """Put a new worker into a worn one's place, which serves until then. Never two of a pool at a time."""
        while worker.fork.alive and not self._stopping:
            async with self._changing:
                if self._workers.get(worker.slot) is not worker:
                    return
                if await self._filled(worker.slot):
                    self._later(self._retire(worker))
                    self._on_worker_end(self.plan.runtime, "changed" if worker.changed else "recycled")
                    log.info("worker recycled", extra={"pool": self.plan.name, "worker": worker.name})
                    return
            await self._backoff()

    async def _guard(self) -> None:
        """Kill workers that use more memory than any limit could catch, or that somebody has stopped."""
        watchdog = Watchdog()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            workers = [*self._workers.values(), *self._retiring.values()]
            for worker, reason in watchdog.look(workers, ceiling_bytes(self._settings)):
                self.kill(worker.name, reason)

    async def _refill(self, slot: int) -> None:
        started = time.monotonic()
        while not self._stopping:
            async with self._changing:
                if slot in self._workers or slot > self._size or not self.shelf.serving:
                    return
                if await self._filled(slot):
                    took_s = time.monotonic() - started
                    self._on_refill(self.plan.runtime, took_s)
                    about = {"pool": self.plan.name, "worker": self._workers[slot].name}
                    log.info("worker refilled", extra=about | {"seconds": round(took_s, 4)})
                    return
            await self._backoff()

    async def _filled(self, slot: int) -> bool:
        """Fork a worker for a place. False if that cannot be, or if another generation has turned instead."""
        try:
            template, lacking = await self._keeper.complete()
            if self._withdraw(lacking):  # all workers of a generation have the same models
                await self._turn_generation()
                return False
            new = await self._fork_all(template, [slot], self.generation)
        except CANNOT_START as e:
            log.error("worker cannot be refilled", extra={"pool": self.plan.name, "reason": type(e).__name__})
            if self.reason is None:
                self.reason = "workers cannot be started"
                await self._publish()
            return False
        self._failures = 0
        self.reason = None
        self._workers |= new
        self._later(self._watch(new[slot]))
        await self._publish()
        return True

    async def _retire(self, worker: Worker) -> None:
        self._retiring[worker.name] = worker
        await worker.drain(self._settings.timeout_s + DRAIN_MARGIN_S)
        del self._retiring[worker.name]

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_end)

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a change failed", extra={"pool": self.plan.name}, exc_info=task.exception())
