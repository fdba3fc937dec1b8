"""A pool: what one runtime's template and workers serve. Takes in model files and turns generations.

A change goes through here in this order: look at each new file in a probe; load what was proven into the template;
fork a generation of workers; wait until each has answered; publish it; and only when every web process has switched
let the old generation drain. Whatever fails on the way leaves the old generation serving.

The template is kept by `template_keeper.py`, the workers by `worker_set.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from server.catalog.files import ModelFile, identified_again, unchanged
from server.config import Settings, changing
from server.daemon_thread import in_daemon_thread
from server.machine.autogroup import ASIDE, set_nice
from server.pools.environment import EnvironmentFailed
from server.pools.memory_ceiling import ceiling_bytes
from server.pools.models import PoolModels, Proven, RefusedFile
from server.pools.plan import PoolPlan
from server.pools.probing import Prober
from server.pools.renewal import Renewal
from server.pools.tasks import Backoff, Tasks
from server.pools.template import Template, TemplateLost
from server.pools.template_keeper import ChangesOthers, FileGone, TemplateKeeper
from server.pools.worker_set import CANNOT_START, DRAIN_MARGIN_S, NO_WORKERS, WorkerSet
from server.wire.snapshot import PoolState

log = logging.getLogger(__name__)

TOGETHER_S = 2.0
"""Files that are proven within this time of each other make one generation."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The classes that a pool is made of. Tests give others, which have no processes."""

    keeper: type[TemplateKeeper] = TemplateKeeper
    workers: type[WorkerSet] = WorkerSet
    prober: type[Prober] = Prober


class Pool:
    """The models, the template and the workers of one runtime, or of one model."""

    def __init__(
        self,
        plan: PoolPlan,
        run_dir: Path,
        settings: Settings,
        publish: Callable[[], Awaitable[None]],
        on_worker_end: Callable[[str, str], None],
        on_refill: Callable[[str, float], None] = lambda *_: None,
        on_isolated: Callable[[ModelFile, str], None] | None = None,
        parts: Parts = Parts(),
    ) -> None:
        self.plan = plan
        self.models = PoolModels(plan.name)
        self._settings = settings
        self.publish = publish
        self._on_isolated = on_isolated
        self._proven: list[Proven] = []
        """Models that a probe was content with, and that are not in the template yet."""
        self._loaded: dict[Path, Proven] = {}
        """Models that are in the template, but not yet in a generation that serves."""
        self._model_share = 0
        """How many workers of the generation that serves one model may hold at once; 0 means all."""
        self._tasks = Tasks(plan.name)
        self._backoff = backoff = Backoff()
        on_lost = partial(on_worker_end, plan.runtime, "template")
        self._keeper = parts.keeper(plan, run_dir, settings, self._wanted, self._tasks, backoff, on_lost, on_isolated)
        self.undisturbed = self._keeper.undisturbed
        scratch = self._keeper.scratch
        self._workers = parts.workers(
            plan, run_dir, scratch, settings, self, self._tasks, backoff, on_worker_end, on_refill
        )
        self.pids, self.kill = self._workers.pids, self._workers.kill
        self._prober = parts.prober(settings, scratch, self._keeper.living, self._on_proven, self._refuse, on_isolated)
        self._renewal = Renewal(
            plan.name, self._has_left, lambda: bool(self.models.loading), self._renew, self._tasks, backoff
        )

    # What the supervisor asks

    @property
    def facts(self) -> Mapping[str, str]:
        """What the latest template has said about itself: versions, sandbox."""
        return self._keeper.facts

    @property
    def r_is_vulnerable(self) -> bool:
        """Whether the pool's R runs code as it reads a file (CVE-2024-27322)."""
        return self._keeper.r_is_vulnerable

    def state(self) -> PoolState:
        """The pool as the web processes need it."""
        workers = self._workers
        return PoolState(
            generation=workers.generation,
            workers=workers.sockets(),
            reason=workers.reason,
            model_share=self._model_share,
            sandbox=self.facts.get("sandbox", ""),
        )

    @property
    def wanted(self) -> int:
        """How many workers there should be; 0 while no model serves."""
        return self._workers.size if self.models.serving else 0

    @property
    def settled(self) -> bool:
        """Whether every file that was seen has been answered: it serves or it is refused."""
        return not self.models.loading

    # Change

    def update(self, files: Sequence[ModelFile]) -> None:
        """Serve what can be served of these files, in the background. They are all the files that there are now."""
        gone = self.models.keep_only({f.path for f in files})
        self.models.restored(files)
        new = self.models.unknown(files)
        self.models.loading |= {f.path: f for f in new}
        if new:
            self._tasks.start(self._take_in(new))
        if gone:
            self._tasks.start(self._leave_out())

    def let_go(self, paths: set[Path]) -> None:
        """Another pool serves these files now: nothing new comes for them, and the next generation is without them."""
        if self.models.forget(paths):
            self._tasks.start(self._leave_out())

    async def change(self, plan: PoolPlan, settings: Settings) -> None:
        """Serve under other settings, with a new template and generation where workers have to know of them."""
        turn = (plan.size, plan.threads) != (self.plan.size, self.plan.threads)
        turn |= any(getattr(settings, name) != getattr(self._settings, name) for name in changing("workers"))
        turn |= ceiling_bytes(settings) != ceiling_bytes(self._settings)
        self.plan, self._settings, self._prober.settings = plan, settings, settings
        self._workers.plan, self._workers.settings = plan, settings
        if not turn:
            self._keeper.plan, self._keeper.settings = plan, settings
            return
        async with self._workers.changing:
            before = await self._keeper.change(plan, settings)
            if self.models.serving:
                await self._turn_generation()
            if before is not None:
                await before.stop()

    async def stop(self, timeout_s: float = DRAIN_MARGIN_S) -> None:
        """Drain all workers and end the template. With the default it is quick, for when nobody waits for an answer."""
        await self._tasks.stop()
        await self._workers.drain(timeout_s)
        await self._keeper.stop()

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
        await self.publish()

    async def _serve_proven(self) -> None:
        async with self._workers.changing:
            proven, self._proven = self._proven, []
            for one in proven:
                await self._load(one)
            if self._loaded:
                await self._turn_generation()
            self._renewal.start_if_due()  # also where a model was refused when it had been read

    def _on_proven(self, proven: Proven) -> None:
        if self.plan.isolated is not None:
            proven = replace(proven, description=replace(proven.description, isolated=self.plan.isolated))
        self._proven.append(proven)

    def _refuse(self, refused: RefusedFile) -> None:
        if (
            self.models.loading.get(refused.file.path) is refused.file
        ):  # else it has changed or gone while it was examined
            log.warning("model refused", extra=refused.about)
            self.models.refuse(refused)

    async def _leave_out(self) -> None:
        """Nothing goes to models that have left any more. A renewal frees their memory, or else a generation now."""
        async with self._workers.changing:
            if not (self.models.serving and self._has_left()):
                await self._turn_generation()
        await self.publish()
        self._renewal.start_if_due()

    async def _load(self, proven: Proven) -> None:
        """Put a proven model into the template, unless its file has changed meanwhile."""
        if self.models.loading.get(proven.file.path) is not proven.file:
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
            self._tasks.start(self._examine_again(proven.file))
        elif failed is None:
            self._loaded[proven.file.path] = proven
        else:
            self._refuse(RefusedFile(proven.file, "load_failed", failed))

    async def _examine_again(self, file: ModelFile) -> None:
        """Newer bytes may have been read under this file's key. They come under their own, unless the old are back."""
        while self.models.loading.get(file.path) is file:
            await asyncio.sleep(TOGETHER_S)
            again = await in_daemon_thread(identified_again, file)
            if again is not None and self.models.loading.get(file.path) is file:
                self.models.loading[file.path] = again
                await self._take_in([again])

    async def _turn_generation(self, aside: Template | None = None) -> None:
        """Fork workers that hold what serves and what was loaded; others come first while those of `aside` end."""
        started = time.monotonic()
        try:
            template, lacking = await self._keeper.complete()
            self._withdraw(lacking)
            self._loaded = {path: p for path, p in self._loaded.items() if self.models.loading.get(path) is p.file}
            files = [p.file for p in (self.models.serving | self._loaded).values()]
            keys = [file.model_key for file in files]
            share = self.plan.size if self.plan.spares and len({file.name for file in files}) > 1 else 0
            size = 2 * share if share else self.plan.size
            await template.prepare_fork(keys)
            new = await self._workers.fork(template, size) if keys else {}
            if template.aside is not None:
                await template.aside.come_forward()
        except CANNOT_START as e:
            log.error("no new generation: the old one goes on", extra={"pool": self.plan.name, "reason": repr(e)})
            self._tasks.start(self._retry_generation())
            self._workers.reason = NO_WORKERS
            await self.publish()
            return
        old = self._workers.turn(new, size)
        self._model_share = share
        self._serve_loaded()
        await self.publish()
        if aside is not None:
            await set_nice(aside.pid, ASIDE)
        self._workers.retire(old)
        generation = self._workers.generation
        about = {"pool": self.plan.name, "generation": generation, "models": len(keys), "workers": len(new)}
        log.info("generation serves", extra=about | {"seconds": round(time.monotonic() - started, 3)})
        self._renewal.start_if_due()

    def _serve_loaded(self) -> None:
        """The models that were loaded serve from now on, but for those whose files have gone while workers forked."""
        still = [p for p in self._loaded.values() if self.models.knows(p.file.path)]
        for proven in still:
            self.models.serve(proven)
        if len(still) < len(self._loaded):
            self._tasks.start(self._leave_out())
        self._loaded = {}

    async def _retry_generation(self) -> None:
        await self._backoff.wait()
        async with self._workers.changing:
            await self._turn_generation()

    # What its workers ask (`worker_set.Owner`)

    async def source(self) -> Template | None:
        """A template to fork from; None if models had to be withdrawn, and so a new generation has been made.

        All workers of a generation have the same models. Raises what CANNOT_START lists.
        """
        template, lacking = await self._keeper.complete()
        if self._withdraw(lacking):
            await self._turn_generation()
            return None
        return template

    def on_changed_others(self, model_key: str, why: str) -> None:
        """Have the model that has changed a worker in a way that other models notice get a pool of its own."""
        if self._on_isolated is not None:
            for file in [p.file for p in self.models.serving.values() if p.file.model_key == model_key]:
                self._on_isolated(file, why)

    # What its template's keeper and renewal ask

    def _wanted(self) -> list[Proven]:
        """The models that the template is to hold: those that serve, and those that are about to."""
        return [*self.models.serving.values(), *self._loaded.values()]

    def _withdraw(self, lacking: Iterable[RefusedFile]) -> bool:
        """Stop serving, and loading, the models that new workers will lack. True if one of them served."""
        served = False
        for refused in lacking:
            file = refused.file
            if self.models.withdraw(refused):
                served = True
                log.error("a model serves no more", extra=refused.about)
            elif file.path in self._loaded and self._loaded[file.path].file is file:
                del self._loaded[file.path]
                self._tasks.start(self._examine_again(file))
        return served

    def _has_left(self) -> bool:
        """Whether a process of the pool has read a model that is not to be served any more."""
        wanted = {proven.file.model_key for proven in self._wanted()}
        return any(read - wanted for read in (self._keeper.read, *self._workers.read()))

    async def _renew(self) -> None:
        """Put a new template and its workers in the place of those that serve, which go on until then.

        Raises FileGone and what CANNOT_START lists.
        """
        started = time.monotonic()
        try:
            fresh = await self._keeper.fresh()
        except FileGone:
            await self._forget_what_left()
            raise
        async with self._workers.changing:
            before = await self._keeper.take(fresh)
            await self._turn_generation(aside=before)
        if before is not None:
            await before.stop()
        about = {"pool": self.plan.name, "seconds": round(time.monotonic() - started, 3)}
        log.info("template renewed, because a model that it had read has left", extra=about)

    async def _forget_what_left(self) -> None:
        """Free the memory of models that have left, where a renewal has to wait until other files are as they were."""
        async with self._workers.changing:
            if self._keeper.holds - {proven.file.model_key for proven in self._wanted()}:
                await self._turn_generation()
