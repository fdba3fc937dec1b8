"""A pool's template: started when it is needed, again when it is lost, and anew when a model that it read has left.

A model is code and may have left some in the process that read it, and so in all that was forked from it. Nothing but
another process is rid of that (docs/adr/0019-leaving.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from server.catalog.files import ModelFile, still_there
from server.catalog.signatures import VERIFIED
from server.config import Settings
from server.daemon_thread import in_daemon_thread
from server.pools.environment import EnvironmentFailed
from server.pools.models import REPLACED, Proven, RefusedFile
from server.pools.plan import PoolPlan
from server.pools.probing import model_spec
from server.pools.tasks import Backoff, Tasks
from server.pools.template import Template, TemplateLost

log = logging.getLogger(__name__)

_GONE = (
    "the file is another one by now, or none, and the processes that had read the model have ended; put the file back, "
    "or a newer one in its place"
)


class ChangesOthers(Exception):
    """Reading the model changes what all models of a process share; the text says what."""


class FileGone(Exception):
    """A model that serves cannot be read once more: its file is another one by now, or none."""


class TemplateKeeper:
    """Keeps one template alive, which holds the models that `wanted` returns."""

    def __init__(
        self,
        plan: PoolPlan,
        run_dir: Path,
        settings: Settings,
        wanted: Callable[[], Iterable[Proven]],
        tasks: Tasks,
        backoff: Backoff,
        on_lost: Callable[[], None],
        on_isolated: Callable[[ModelFile, str], None] | None = None,
    ) -> None:
        self.plan = plan
        self.settings = settings
        self.scratch = run_dir / "scratch" / plan.name
        """Folder that holds one scratch folder for each process of the pool, the only one that it may write to."""
        self.facts: Mapping[str, str] = {}
        """What the latest template has said about itself: versions, sandbox."""
        self.r_is_vulnerable = False
        self._run_dir = run_dir
        self._wanted = wanted
        self._tasks = tasks
        self._backoff = backoff
        self._on_lost = on_lost
        self._on_isolated = on_isolated
        self._template: Template | None = None
        self._talking: list[Template] = []
        """Templates which, or whose forks, may still print something."""
        self._starting = asyncio.Lock()

    async def living(self) -> Template:
        """A template that holds what can be read of what it should; started if need be.

        Raises TemplateLost, EnvironmentFailed.
        """
        async with self._starting:
            if self._template is not None and self._template.folders_replaced:
                await self._drop()
            if self._template is None or self._template.lost.is_set():
                self._template, _ = await self._started()
            return self._template

    async def complete(self) -> tuple[Template, list[RefusedFile]]:
        """A template to fork from, and what its forks will lack of what they should have.

        What a file has become is never read as what it was. Raises TemplateLost, EnvironmentFailed.
        """
        template = await self.living()
        async with self._starting:
            return template, await self._catch_up(template)

    async def undisturbed(self) -> bool:
        """Whether no file of those that workers read by themselves has changed, so that they read what was meant."""
        return all([await _is_there(proven) for proven in self._wanted() if self._read_by_workers(proven)])

    async def load(self, proven: Proven) -> str | None:
        """Have the template read one model more; why it could not, if so.

        Raises ChangesOthers, TemplateLost, EnvironmentFailed.
        """
        template = await self.living()
        try:
            return await self._load_into(template, proven)
        except ChangesOthers:
            async with self._starting:
                await self._drop()  # no worker shall be forked from it
            raise

    @property
    def read(self) -> frozenset[str]:
        """The keys of all models that the template has ever read."""
        return frozenset(self._template.read) if self._template is not None else frozenset()

    @property
    def holds(self) -> frozenset[str]:
        """The keys of the models that a process which the template forks now would have."""
        return frozenset(self._template.holds) if self._template is not None else frozenset()

    async def fresh(self) -> Template:
        """Another template, beside the one there is. Until it comes forward, others have the processors first.

        Raises FileGone, TemplateLost, EnvironmentFailed.
        """
        for proven in list(self._wanted()):
            if not await _is_there(proven):
                raise FileGone(proven.file.name)
        fresh, lacking = await self._started(aside=True)
        self._refuse(fresh, lacking)
        await fresh.prepare_fork(sorted(fresh.holds))  # the first time is the longest
        return fresh

    async def _started(self, aside: bool = False) -> tuple[Template, list[RefusedFile]]:
        environment = await self.plan.environment()
        folders = self._model_folders()
        template = await Template.start(self.plan, self.settings, environment, folders, self.scratch, aside)
        self.facts = template.facts
        self.r_is_vulnerable = template.r_is_vulnerable
        self._talking = [*(other for other in self._talking if not other.silent), template]
        self._tasks.start(self._watch(template))
        about = {"pool": self.plan.name, "pid": template.pid, "facts": dict(template.facts)}
        log.info("template ready", extra=about)
        return template, await self._catch_up(template)

    async def _watch(self, template: Template) -> None:
        """When a template ends by itself, start another; the workers that it has forked go on meanwhile."""
        await template.lost.wait()
        meant = template.ending
        await template.stop()
        if self._tasks.stopped or meant:
            return
        self._on_lost()
        log.error("template lost", extra={"pool": self.plan.name, "pid": template.pid})
        while list(self._wanted()):
            with contextlib.suppress(TemplateLost, EnvironmentFailed):
                await self.living()
                return
            await self._backoff.wait()

    async def take(self, fresh: Template) -> Template | None:
        """Keep another template from now on, once it holds everything. Returns the one before, for the caller to stop.

        Raises FileGone, TemplateLost.
        """
        async with self._starting:
            self._refuse(fresh, await self._catch_up(fresh))
            before, self._template = self._template, fresh
            return before

    async def change(self, plan: PoolPlan, settings: Settings) -> Template | None:
        """Keep a template of this plan from now on. Returns the one that there was, for the caller to stop."""
        self.plan, self.settings = plan, settings
        async with self._starting:
            before, self._template = self._template, None
            return before

    async def stop(self) -> None:
        """End the template, whose forks have ended."""
        if self._template is not None:
            await self._template.stop()
        await asyncio.gather(*(template.heard_out() for template in self._talking))

    async def _drop(self) -> None:
        template, self._template = self._template, None
        if template is not None:
            await template.stop()

    async def _catch_up(self, template: Template) -> list[RefusedFile]:
        """Have a template read what it should hold and does not; what its forks will lack.

        Ends it where it is lost for that, and raises TemplateLost.
        """
        lacking = []
        try:
            for proven in list(self._wanted()):
                lacks = await self._given(template, proven)
                if lacks is not None:
                    lacking.append(lacks)
        except ChangesOthers as e:
            assert self._on_isolated is not None
            self._on_isolated(proven.file, str(e))
            await template.stop()
            raise TemplateLost("a model has changed the process that holds the models") from None
        except BaseException:  # also where the pool is stopped meanwhile
            _end(template)
            raise
        return lacking

    async def _given(self, template: Template, proven: Proven) -> RefusedFile | None:
        """Have a template hold a model, if its file is still what it was; else why its forks will not."""
        holds = proven.file.model_key in template.holds
        if holds and not self._read_by_workers(proven):
            return None
        if await _is_there(proven):
            failed = None if holds else await self._load_into(template, proven)
            if failed is not None:
                return RefusedFile(proven.file, "load_failed", failed)
            if holds or await _is_there(proven):
                return None
        template.holds.discard(proven.file.model_key)
        return RefusedFile(proven.file, REPLACED, _GONE)

    def _read_by_workers(self, proven: Proven) -> bool:
        return self.plan.workers_read or proven.description.loads_in_worker

    def _refuse(self, template: Template, lacking: list[RefusedFile]) -> None:
        """End a template that lacks what another one still has."""
        for one in lacking:
            _end(template)
            raise FileGone(one.file.name) if one.code == REPLACED else TemplateLost(f"{one.file.name}: {one.reason}")

    async def _load_into(self, template: Template, proven: Proven) -> str | None:
        spec = model_spec(proven.file, proven.sidecar, self.settings, proven.description)
        failed, changed = await template.load(spec, self.settings.load_timeout_s)
        if changed is not None and self._on_isolated is not None:
            raise ChangesOthers(changed)
        return failed

    def _model_folders(self) -> list[Path]:
        """The folders that models are read from: the model folders, or the copies whose signatures were verified."""
        if self.settings.model_signatures != "off":
            return [self._run_dir / VERIFIED]
        return [self.settings.r_models, self.settings.python_models]


async def _is_there(proven: Proven) -> bool:
    return await in_daemon_thread(still_there, proven.file)


def _end(template: Template) -> None:
    template.ending = True
    template.kill()
