"""Looking at new model files in forked probes, where a crash, a hang or an error costs nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from server.catalog import heads, mlmodel, sidecar
from server.catalog.files import ModelFile
from server.catalog.listing import SMALLEST_BYTES
from server.catalog.sidecar import Sidecar, SidecarError
from server.config import Settings
from server.daemon_thread import in_daemon_thread
from server.pools.environment import EnvironmentFailed
from server.pools.models import Proven, RefusedFile
from server.pools.template import Template, TemplateLost
from server.wire.commands import Report
from server.wire.models import Description, ModelSpec, RuntimeSettings

log = logging.getLogger(__name__)

PROBES_AT_ONCE = 2
MODELS_PER_PROBE = 25

Asked = tuple[ModelFile, Sidecar]


class Prober:
    """Examines files of one runtime; each ends at `on_proven` or `on_refused`, as soon as it is known.

    Where there is an `on_isolated`, those end there that a pool of several models must not have, with the reason.
    """

    def __init__(
        self,
        settings: Settings,
        scratch: Path,
        template: Callable[[], Awaitable[Template]],
        on_proven: Callable[[Proven], None],
        on_refused: Callable[[RefusedFile], None],
        on_isolated: Callable[[ModelFile, str], None] | None = None,
    ) -> None:
        self.settings = settings
        self._scratches = (scratch / f"probe-{number}" for number in count(1))
        self._template = template
        self._on_proven = on_proven
        self._on_refused = on_refused
        self._on_isolated = on_isolated
        self._turns = asyncio.Semaphore(PROBES_AT_ONCE)

    async def examine(self, files: Sequence[ModelFile]) -> None:
        """Examine all of `files`: what is hardly a model comes last, and of the others the oldest first."""
        files = sorted(files, key=lambda file: (file.size_bytes < SMALLEST_BYTES, file.modified))
        chunks = [files[i : i + MODELS_PER_PROBE] for i in range(0, len(files), MODELS_PER_PROBE)]
        await asyncio.gather(*(self._chunk(chunk) for chunk in chunks))

    async def _asked(self, files: Sequence[ModelFile]) -> list[Asked]:
        """The files with their sidecars. Files that are refused without a probe are left out."""
        asked: list[Asked] = []
        for file, found in await in_daemon_thread(_looked_at, files):
            if isinstance(found, RefusedFile):
                self._on_refused(found)
            else:
                asked.append((file, found))
        return asked

    async def _chunk(self, files: Sequence[ModelFile]) -> None:
        """Examine files in one probe after another: each ends with the last file, or with one that breaks it."""
        losses = 0
        async with self._turns:
            asked = await self._asked(files)
            while asked:
                try:
                    asked = await self._probe(asked)
                except EnvironmentFailed as e:
                    for file, _ in asked:
                        self._refuse(file, "bad_requirements", str(e))
                    return
                except TemplateLost as e:
                    losses += 1
                    if losses > 1:
                        for file, _ in asked:
                            self._refuse(file, "no_runtime", f"the runtime that reads models cannot be started: {e}")
                        return

    async def _probe(self, asked: list[Asked]) -> list[Asked]:
        """Examine files in one process, and return the files that it did not come to."""
        done = 0
        timed_out = last = False
        template = await self._template()
        specs = [model_spec(file, side, self.settings) for file, side in asked]
        try:
            async for report in template.probe(specs, next(self._scratches), self.settings.load_timeout_s):
                self._take(report, *asked[done])
                last = report.last
                done += 1
        except TimeoutError:
            timed_out = True
        if last:
            return asked[done:]
        if done < len(asked):
            self._broken(asked[done][0], timed_out)
        return asked[done + 1 :]

    def _take(self, report: Report, file: ModelFile, side: Sidecar) -> None:
        description = report.description
        if description is None:
            self._refuse(file, str(report.code), str(report.reason))
        elif description.isolated is not None and self._on_isolated is not None:
            self._on_isolated(file, description.isolated)
        else:
            if file.signed is not None and file.signed.outcome != "verified":
                description = replace(description, load_warnings=[*description.load_warnings, file.signed.text])
            self._on_proven(Proven(file, side, description, report.seconds))

    def _broken(self, file: ModelFile, timed_out: bool) -> None:
        if timed_out:
            limit = f"{self.settings.load_timeout_s:g} s"
            self._refuse(file, "hangs", f"reading and trying the model took longer than {limit}")
        else:
            self._refuse(file, "crashes", "the process that read and tried the model crashed")

    def _refuse(self, file: ModelFile, code: str, reason: str) -> None:
        self._on_refused(RefusedFile(file, code, reason))


def _looked_at(files: Sequence[ModelFile]) -> list[tuple[ModelFile, Sidecar | RefusedFile]]:
    """Each file with its sidecar, or with a refusal where no process is needed to find out that it is no model."""
    return [(file, _sidecar(file)) for file in files]


def _sidecar(file: ModelFile) -> Sidecar | RefusedFile:
    if file.signed is not None and file.signed.refused:
        return RefusedFile(file, file.signed.outcome, file.signed.text)
    try:
        found = sidecar.read(file.sidecar, file.runtime, file.folder)
    except SidecarError as e:
        return RefusedFile(file, "bad_sidecar", str(e))
    reason = heads.no_model(file)
    return found if reason is None else RefusedFile(file, "unreadable", reason)


def model_spec(file: ModelFile, side: Sidecar, settings: Settings, description: Description | None = None) -> ModelSpec:
    """The specification that a template gets of a model: to probe it, or to load it once a probe has described it."""
    stated = side.inputs_and_outputs
    about = mlmodel.at(file.content, file.folder) or mlmodel.MLmodel(file=file.content.name)
    spec = ModelSpec(
        model_key=file.model_key,
        name=file.name,
        version=file.version,
        path=str(file.content.parent / about.file),
        packages=side.packages,
        arguments=side.arguments,
        inputs=[i.model_dump(exclude_none=True) for i in stated.inputs],
        outputs=[o.model_dump(exclude_none=True) for o in stated.outputs],
        signature=about.inputs,
        extra=stated.extra,
        golden=side.golden,
        max_rows=side.max_rows or settings.batch_max_rows,
        load_timeout_s=settings.load_timeout_s,
        settings=_runtime_settings(side, about.settings),
    )
    if description is None:
        return replace(spec, example=mlmodel.example_row(file.content, file.folder))
    return replace(
        spec,
        schema=description.schema,
        example=description.example,
        rowwise=description.rowwise,
        loads_in_worker=description.loads_in_worker,
        notes=description.notes,
        harmless=description.harmless,
    )


def _runtime_settings(side: Sidecar, of_mlflow: Mapping[str, Any]) -> RuntimeSettings:
    return RuntimeSettings(
        trusted=[*side.trusted, *of_mlflow.get("trusted", ())],
        threads=side.threads,
        image=side.image,
        torch=side.torch,
        **{name: value for name, value in of_mlflow.items() if name != "trusted"},
    )
