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
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.catalog.files import ModelFile
from server.catalog.snapshot import Entry, PoolState
from server.config import Settings
from server.supervisor.environment import EnvironmentFailed
from server.supervisor.probing import Prober, model_spec
from server.supervisor.shelf import Proven, Refused, Shelf
from server.supervisor.template import Template, TemplateLost
from server.supervisor.worker import NeverAnswered, Worker

log = logging.getLogger(__name__)

TOGETHER_S = 2.0
"""Files proven within this time of each other make one generation."""
DRAIN_MARGIN_S = 5.0
BACKOFF_S = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
CANNOT_START = (TemplateLost, NeverAnswered, EnvironmentFailed)


ANSWER_TIMEOUT_S = 10.0


async def own_python() -> Path:
    """The interpreter that the supervisor itself runs on."""
    return Path(sys.executable)


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What a pool is of: `size` workers, whose libraries may use `threads` each, on an interpreter."""

    name: str
    runtime: str
    size: int
    threads: int = 1
    answer_timeout_s: float = ANSWER_TIMEOUT_S
    """How long a new worker may take to answer; one that loads the models itself needs longer."""
    python: Callable[[], Awaitable[Path]] = own_python
    """Raises EnvironmentFailed."""


class Pool:
    """All workers of one runtime, or of one scoring script."""

    def __init__(
        self,
        plan: PoolPlan,
        run_dir: Path,
        settings: Settings,
        publish: Callable[[], Awaitable[None]],
        on_worker_end: Callable[[str, str], None],
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
        self._template: Template | None = None
        self._workers: dict[int, Worker] = {}
        self._retiring: dict[str, Worker] = {}
        self._changing = asyncio.Lock()
        self._starting = asyncio.Lock()
        self._prober = Prober(
            settings, run_dir / f"{plan.name}-probe", self._living_template, self._on_proven, self._refuse
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._names = 0
        self._failures = 0
        self._stopping = False

    # What the supervisor asks

    def state(self) -> PoolState:
        """The pool as the web processes need it."""
        workers = {w.name: str(w.socket_path) for w in self._workers.values()}
        return PoolState(self.generation, workers, self.reason)

    def entries(self) -> list[Entry]:
        """The pool's part of the catalog."""
        return self.shelf.entries()

    @property
    def wanted(self) -> int:
        """How many workers there should be."""
        return self.plan.size if self.shelf.serving else 0

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

    async def update(self, files: Sequence[ModelFile]) -> None:
        """These are all the model files there are now; serve what can be served of them, in the background."""
        gone = self.shelf.keep_only({f.path for f in files})
        self.shelf.restored(files)
        new = self.shelf.unknown(files)
        self.shelf.loading |= {f.path: f for f in new}
        if new:
            self._later(self._take_in(new))
        if gone:
            self._later(self._leave_out())
        await self._publish()

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

    def _on_proven(self, proven: Proven) -> None:
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

    async def stop(self) -> None:
        """Drain all workers and end the template."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(w.drain(self._settings.timeout_s + DRAIN_MARGIN_S) for w in self._workers.values()))
        if self._template is not None:
            await self._template.stop()

    # Template

    async def _living_template(self) -> Template:
        """A template that holds everything that serves or is about to; started if need be. Raises TemplateLost."""
        async with self._starting:
            if self._template is None or self._template.lost.is_set():
                plan = self.plan
                template = await Template.start(plan.runtime, self._settings, await plan.python(), plan.threads)
                self._later(self._watch_template(template))
                about = {"pool": self.plan.name, "pid": template.pid, "facts": dict(template.facts)}
                log.info("template ready", extra=about)
                for proven in (*self.shelf.serving.values(), *self._loaded.values()):
                    await self._load_into(template, proven)
                self._template = template
            return self._template

    async def _watch_template(self, template: Template) -> None:
        """When a template ends, build another; its workers go on meanwhile."""
        await template.lost.wait()
        await template.stop()
        if self._stopping:
            return
        self._on_worker_end(self.plan.runtime, "template")
        log.error("template lost", extra={"pool": self.plan.name, "pid": template.pid})
        while self.shelf.serving:
            with contextlib.suppress(TemplateLost, EnvironmentFailed):
                await self._living_template()
                return
            await self._backoff()

    async def _load(self, proven: Proven) -> None:
        """Put a proven model into the template, unless its file has changed meanwhile."""
        if self.shelf.loading.get(proven.file.path) is not proven.file:
            return
        try:
            failed = await self._load_into(await self._living_template(), proven)
        except (TemplateLost, EnvironmentFailed):
            failed = "loading the model ended the process that holds the models"
        if failed is None:
            self._loaded[proven.file.path] = proven
        else:
            self._refuse(Refused(proven.file, "load_failed", failed))

    async def _load_into(self, template: Template, proven: Proven) -> str | None:
        spec = model_spec(proven.file, proven.sidecar, self._settings, proven.description)
        return await template.load(spec, self._settings.load_timeout_s)

    # Workers

    async def _turn_generation(self) -> None:
        """Fork workers that hold what serves and what was loaded, and put them in the place of the old ones."""
        started = time.monotonic()
        self._loaded = {path: p for path, p in self._loaded.items() if self.shelf.loading.get(path) is p.file}
        keys = [p.file.key for p in (self.shelf.serving | self._loaded).values()]
        try:
            template = await self._living_template()
            await template.settle(keys)
            new = await self._fork_all(template, self.generation + 1) if keys else {}
        except CANNOT_START as e:
            log.error("no new generation: the old one goes on", extra={"pool": self.plan.name, "reason": repr(e)})
            self._later(self._retry_generation())
            return
        self._failures = 0
        old = list(self._workers.values())
        self.generation += 1
        self._workers = new
        for proven in self._loaded.values():
            self.shelf.serve(proven)
        self._loaded = {}
        for worker in new.values():
            self._later(self._watch(worker))
        await self._publish()
        for worker in old:
            self._later(self._retire(worker))
        about = {"pool": self.plan.name, "generation": self.generation, "models": len(keys), "workers": len(new)}
        log.info("generation serves", extra=about | {"seconds": round(time.monotonic() - started, 3)})

    async def _retry_generation(self) -> None:
        await self._backoff()
        async with self._changing:
            await self._turn_generation()

    async def _backoff(self) -> None:
        """Wait longer each time, until something has worked again."""
        await asyncio.sleep(BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)])
        self._failures += 1

    async def _fork_all(self, template: Template, generation: int) -> dict[int, Worker]:
        workers = [await self._fork(template, slot, generation) for slot in range(1, self.plan.size + 1)]
        await self._answered(workers)
        return {w.slot: w for w in workers}

    async def _answered(self, workers: Sequence[Worker]) -> None:
        """Wait until all of them have answered; if one does not, none is kept."""
        try:
            await asyncio.gather(*(w.answer(self.plan.answer_timeout_s) for w in workers))
        except BaseException:  # also where the pool is stopped meanwhile
            for worker in workers:
                worker.kill("never_answered")
                worker.forget()
            raise

    async def _fork(self, template: Template, slot: int, generation: int) -> Worker:
        self._names += 1
        name = f"{self.plan.name}-{slot}.{self._names}"
        path = self._run_dir / f"{name}.sock"
        fork = await template.fork(slot, path, secrets.randbits(31), self._run_dir / name)
        return Worker(name, slot, generation, path, fork)

    async def _watch(self, worker: Worker) -> None:
        """Wait for a worker's end; refill its place if it still has one."""
        await worker.fork.ended()
        worker.forget()
        if self._workers.get(worker.slot) is not worker or self._stopping:
            return
        del self._workers[worker.slot]
        reason = worker.killed_for or "crashed"
        self._on_worker_end(self.plan.runtime, reason)
        log.warning("worker ended", extra={"worker": worker.name, "pool": self.plan.name, "reason": reason})
        await self._refill(worker.slot)

    async def _refill(self, slot: int) -> None:
        started = time.monotonic()
        while not self._stopping:
            async with self._changing:
                if slot in self._workers or not self.shelf.serving:
                    return
                if await self._filled(slot):
                    about = {"pool": self.plan.name, "worker": self._workers[slot].name}
                    log.info("worker refilled", extra=about | {"seconds": round(time.monotonic() - started, 4)})
                    return
            await self._backoff()

    async def _filled(self, slot: int) -> bool:
        try:
            worker = await self._fork(await self._living_template(), slot, self.generation)
            await self._answered([worker])
        except CANNOT_START as e:
            self.reason = "workers cannot be started"
            log.error("worker cannot be refilled", extra={"pool": self.plan.name, "reason": type(e).__name__})
            return False
        self._failures = 0
        self.reason = None
        self._workers[slot] = worker
        self._later(self._watch(worker))
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
