"""A pool: one runtime's template and workers. Takes in model files, turns generations, refills dead workers.

A change goes through here in this order: look at each new file in a probe; load what was proven into the template;
fork a generation of workers; wait until each has answered; publish it; and only when every web process has switched
let the old generation drain. Whatever fails on the way leaves the old generation serving.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from server.catalog import sidecar
from server.catalog.files import ModelFile
from server.catalog.sidecar import Sidecar, SidecarError
from server.catalog.snapshot import Entry, PoolState
from server.config import Settings, granted_cores
from server.supervisor.shelf import Proven, Refused, Shelf
from server.supervisor.template import Template, TemplateLost
from server.supervisor.worker import NeverAnswered, Worker

log = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 10.0
PROBES_AT_ONCE = 2
MODELS_PER_PROBE = 25
DRAIN_MARGIN_S = 5.0
BACKOFF_S = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)


class Pool:
    """All workers of one runtime."""

    def __init__(
        self,
        runtime: str,
        run_dir: Path,
        settings: Settings,
        publish: Callable[[], Awaitable[None]],
        on_worker_end: Callable[[str, str], None],
    ) -> None:
        self.runtime = runtime
        self.size = min(getattr(settings, f"{runtime}_workers"), granted_cores())
        self.shelf = Shelf()
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
        self._changing = asyncio.Lock()
        self._starting = asyncio.Lock()
        self._probes = asyncio.Semaphore(PROBES_AT_ONCE)
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
        return self.size if self.shelf.serving else 0

    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [w.fork.pid for w in self._workers.values()]

    def kill(self, name: str, reason: str) -> None:
        """Kill a worker by its name, if it is one of ours."""
        for worker in self._workers.values():
            if worker.name == name:
                log.warning("worker killed", extra={"worker": name, "pool": self.runtime, "reason": reason})
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
        for proven in await self._examine([file]):
            self.shelf.serve(proven)

    async def _take_in(self, files: Sequence[ModelFile]) -> None:
        """Examine new files, then serve those that are proven, in one generation."""
        proven = await self._examine(files)
        async with self._changing:
            for one in proven:
                await self._load(one)
            if self._loaded:
                await self._turn_generation()
        await self._publish()

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

    # Looking at new files

    async def _examine(self, files: Sequence[ModelFile]) -> list[Proven]:
        """Describe files in probes; those refused go to the shelf, those proven are returned."""
        asked: list[tuple[ModelFile, Sidecar]] = []
        for file in files:
            try:
                asked.append((file, sidecar.read(file.sidecar)))
            except SidecarError as e:
                self._refuse(file, "bad_sidecar", str(e))
        chunks = [asked[i : i + MODELS_PER_PROBE] for i in range(0, len(asked), MODELS_PER_PROBE)]
        found = await asyncio.gather(*(self._probe(chunk) for chunk in chunks))
        return [proven for chunk in found for proven in chunk]

    async def _probe(self, asked: list[tuple[ModelFile, Sidecar]]) -> list[Proven]:
        proven: list[Proven] = []
        async with self._probes:
            while asked:
                try:
                    template = await self._living_template()
                except TemplateLost as e:
                    for file, _ in asked:
                        self._refuse(file, "runtime_missing", str(e))
                    return proven
                done = 0
                timed_out = False
                specs = [self._spec(file, side) for file, side in asked]
                async for answer in template.probe(specs, self._settings.load_timeout_s):
                    timed_out = "timed_out" in answer
                    if not timed_out:
                        self._take_answer(answer, *asked[done], proven)
                        done += 1
                if done < len(asked):
                    file = asked[done][0]
                    if timed_out:
                        reason = f"reading and proving the model took longer than {self._settings.load_timeout_s:g} s"
                        self._refuse(file, "hangs", reason)
                    else:
                        self._refuse(file, "crashes", "the process that read and tried the model crashed")
                    done += 1
                asked = asked[done:]
        return proven

    def _take_answer(self, answer: Mapping[str, Any], file: ModelFile, side: Sidecar, proven: list[Proven]) -> None:
        if "reason" in answer:
            self._refuse(file, answer["code"], answer["reason"])
        else:
            proven.append(Proven(file, side, answer["description"], answer["seconds"]))

    def _refuse(self, file: ModelFile, code: str, reason: str) -> None:
        if self.shelf.loading.get(file.path) is not file:
            return  # the file has changed or gone while it was looked at
        log.warning(
            "model refused", extra={"model": file.name, "version": file.version, "code": code, "reason": reason}
        )
        self.shelf.refuse(Refused(file, code, reason))

    def _spec(self, file: ModelFile, side: Sidecar, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
        stated = side.inputs_and_outputs
        return {
            "key": file.key,
            "name": file.name,
            "version": file.version,
            "path": str(file.path),
            "packages": side.packages,
            "arguments": side.arguments,
            "inputs": [i.model_dump(exclude_none=True) for i in stated.inputs],
            "outputs": [o.model_dump(exclude_none=True) for o in stated.outputs],
            "golden": side.golden,
            "max_rows": side.max_rows or self._settings.batch_max_rows,
            "threads": side.threads,
            "schema": schema,
        }

    # Template

    async def _living_template(self) -> Template:
        """The template, started if need be. Raises TemplateLost."""
        async with self._starting:
            if self._template is None:
                self._template = await Template.start(self.runtime, self._settings.max_payload_bytes)
                self._later(self._watch_template(self._template))
                about = {"pool": self.runtime, "pid": self._template.pid, "facts": dict(self._template.facts)}
                log.info("template ready", extra=about)
            return self._template

    async def _watch_template(self, template: Template) -> None:
        """When a template ends, build another with everything that serves; its workers go on meanwhile."""
        await template.lost.wait()
        if self._stopping:
            return
        self._on_worker_end(self.runtime, "template")
        log.error("template lost", extra={"pool": self.runtime, "pid": template.pid})
        await template.stop()
        if self._template is template:
            self._template = None
        if self.shelf.serving:
            async with self._changing:
                await self._rebuild()

    async def _load(self, proven: Proven) -> None:
        """Put a proven model into the template, unless its file has changed meanwhile."""
        if self.shelf.loading.get(proven.file.path) is not proven.file:
            return
        try:
            failed = await self._load_into_template(proven)
        except TemplateLost:
            failed = "loading the model ended the process that holds the models"
            await self._rebuild()
        if failed is None:
            self._loaded[proven.file.path] = proven
        else:
            self._refuse(proven.file, "load_failed", failed)

    async def _load_into_template(self, proven: Proven) -> str | None:
        spec = self._spec(proven.file, proven.sidecar, proven.description["schema"])
        return await (await self._living_template()).load(spec, self._settings.load_timeout_s)

    async def _rebuild(self) -> None:
        """Bring everything that serves into a new template, if there is not one that has it already."""
        if self._template is None:
            for proven in (*self.shelf.serving.values(), *self._loaded.values()):
                await self._load_into_template(proven)

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
        except (TemplateLost, NeverAnswered) as e:
            log.error("no new generation: the old one goes on", extra={"pool": self.runtime, "reason": repr(e)})
            self._later(self._retry_generation())
            return
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
            self._later(worker.drain(self._settings.timeout_s + DRAIN_MARGIN_S))
        about = {"pool": self.runtime, "generation": self.generation, "models": len(keys), "workers": len(new)}
        log.info("generation serves", extra=about | {"seconds": round(time.monotonic() - started, 3)})

    async def _retry_generation(self) -> None:
        await asyncio.sleep(BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)])
        self._failures += 1
        async with self._changing:
            await self._rebuild()
            await self._turn_generation()

    async def _fork_all(self, template: Template, generation: int) -> dict[int, Worker]:
        workers = [await self._fork(template, slot, generation) for slot in range(1, self.size + 1)]
        try:
            await asyncio.gather(*(w.answer(ANSWER_TIMEOUT_S) for w in workers))
        except NeverAnswered:
            for worker in workers:
                worker.kill("never_answered")
            raise
        return {w.slot: w for w in workers}

    async def _fork(self, template: Template, slot: int, generation: int) -> Worker:
        self._names += 1
        name = f"{self.runtime}-{slot}.{self._names}"
        path = self._run_dir / f"{name}.sock"
        fork = await template.fork(path, secrets.randbits(31), self._run_dir / name)
        return Worker(name, slot, generation, path, fork)

    async def _watch(self, worker: Worker) -> None:
        """Wait for a worker's end; refill its place if it still has one."""
        await worker.fork.ended()
        worker.forget()
        if self._workers.get(worker.slot) is not worker or self._stopping:
            return
        del self._workers[worker.slot]
        reason = worker.killed_for or "crashed"
        self._on_worker_end(self.runtime, reason)
        log.warning("worker ended", extra={"worker": worker.name, "pool": self.runtime, "reason": reason})
        await self._refill(worker.slot)

    async def _refill(self, slot: int) -> None:
        while not self._stopping:
            await asyncio.sleep(BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)])
            async with self._changing:
                if slot in self._workers or not self.shelf.serving:
                    return
                if await self._filled(slot):
                    return

    async def _filled(self, slot: int) -> bool:
        try:
            await self._rebuild()
            template = await self._living_template()
            worker = await self._fork(template, slot, self.generation)
            await worker.answer(ANSWER_TIMEOUT_S)
        except (TemplateLost, NeverAnswered) as e:
            self._failures += 1
            self.reason = "workers cannot be started"
            log.error("worker cannot be refilled", extra={"pool": self.runtime, "reason": type(e).__name__})
            return False
        self._failures = 0
        self.reason = None
        self._workers[slot] = worker
        self._later(self._watch(worker))
        await self._publish()
        return True

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
