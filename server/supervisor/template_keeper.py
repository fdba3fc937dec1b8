"""A pool's template: started when it is needed, again when it is lost, and anew when a model that it read has left.

A model is code and may have left some in the process that read it, and so in all that was forked from it. Nothing but
another process is rid of that (docs/adr/0019-leaving.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from server.catalog.files import ModelFile, still_there
from server.config import Settings
from server.daemon_thread import in_daemon_thread
from server.supervisor.plan import PoolPlan
from server.supervisor.probing import model_spec
from server.supervisor.shelf import Proven
from server.supervisor.signatures import VERIFIED
from server.supervisor.template import Template, TemplateLost

log = logging.getLogger(__name__)


class ChangesOthers(Exception):
    """Reading the model changes what all models of a process share; the text says what."""


class FileGone(Exception):
    """A model that serves cannot be read once more: its file is another one by now, or none."""


class TemplateKeeper:
    """Keeps one template, which holds the models that `held` gives."""

    def __init__(
        self,
        plan: PoolPlan,
        run_dir: Path,
        settings: Settings,
        held: Callable[[], Iterable[Proven]],
        on_started: Callable[[Template], None],
        on_gone: Callable[[ModelFile], None],
        on_isolated: Callable[[ModelFile, str], None] | None = None,
    ) -> None:
        self.plan = plan
        self.settings = settings
        self.scratch = run_dir / "scratch" / plan.name
        """The folder of the folders that the pool's processes may write to."""
        self.facts: Mapping[str, str] = {}
        """What the latest template told of itself."""
        self.r_is_vulnerable = False
        self._run_dir = run_dir
        self._held = held
        self._on_started = on_started
        self._on_gone = on_gone
        self._on_isolated = on_isolated
        self._template: Template | None = None
        self._starting = asyncio.Lock()

    async def living(self) -> Template:
        """A template that holds everything it should; started if need be. Raises TemplateLost, EnvironmentFailed."""
        async with self._starting:
            if self._template is not None and self._template.blind:
                await self._drop()
            if self._template is None or self._template.lost.is_set():
                self._template = await self._started(self._on_gone)
            return self._template

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

    async def fresh(self) -> Template:
        """Another template, beside the one there is. Raises FileGone, TemplateLost, EnvironmentFailed."""
        for proven in list(self._held()):
            if not await in_daemon_thread(still_there, proven.file):
                raise FileGone(proven.file.name)
        return await self._started(_refuse)

    async def _started(self, on_gone: Callable[[ModelFile], None]) -> Template:
        environment = await self.plan.environment()
        template = await Template.start(self.plan, self.settings, environment, self._model_folders(), self.scratch)
        self.facts = template.facts
        self.r_is_vulnerable = template.r_is_vulnerable
        self._on_started(template)
        about = {"pool": self.plan.name, "pid": template.pid, "facts": dict(template.facts)}
        log.info("template ready", extra=about)
        await self._catch_up(template, on_gone)
        return template

    async def take(self, fresh: Template) -> Template | None:
        """Keep another template from now on, once it holds everything; the one that there was, to be stopped.

        Raises FileGone, TemplateLost.
        """
        async with self._starting:
            await self._catch_up(fresh, _refuse)
            before, self._template = self._template, fresh
            return before

    async def change(self, plan: PoolPlan, settings: Settings) -> Template | None:
        """Keep a template of this plan from now on; the one that there was, to be stopped."""
        self.plan, self.settings = plan, settings
        async with self._starting:
            before, self._template = self._template, None
            return before

    async def stop(self) -> None:
        """End the template, whose forks have ended."""
        if self._template is not None:
            await self._template.stop()
            await self._template.heard_out()

    async def _drop(self) -> None:
        template, self._template = self._template, None
        if template is not None:
            await template.stop()

    async def _catch_up(self, template: Template, on_gone: Callable[[ModelFile], None]) -> None:
        """Have a template read what it should hold and does not. Ends it where that cannot be; raises TemplateLost.

        What a file has become may not be served as what it was: `on_gone` is told of it, and may raise FileGone.
        """
        try:
            for proven in list(self._held()):
                if proven.file.key not in template.holds:
                    await self._load_into(template, proven)
                    if not await in_daemon_thread(still_there, proven.file):
                        on_gone(proven.file)
        except ChangesOthers as e:
            assert self._on_isolated is not None
            self._on_isolated(proven.file, str(e))
            await template.stop()
            raise TemplateLost("a model has changed the process that holds the models") from None
        except BaseException:  # also where the pool is stopped meanwhile
            template.ending = True
            template.kill()
            raise

    async def _load_into(self, template: Template, proven: Proven) -> str | None:
        spec = model_spec(proven.file, proven.sidecar, self.settings, proven.description)
        failed, changed = await template.load(spec, self.settings.load_timeout_s)
        if changed is not None and self._on_isolated is not None:
            raise ChangesOthers(changed)
        return failed

    def _model_folders(self) -> list[Path]:
        """Where models are read from: their folders, or where copies are whose signatures were verified."""
        if self.settings.model_signatures != "off":
            return [self._run_dir / VERIFIED]
        return [self.settings.r_models, self.settings.python_models]


def _refuse(file: ModelFile) -> None:
    raise FileGone(file.name)
