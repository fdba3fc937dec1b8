"""A pool's own order of things, where a server would show a fault only by chance. Its parts are fakes by hand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from server.catalog.files import R_FILES, ModelFile, candidates, identify
from server.catalog.sidecar import Sidecar
from server.config import Settings
from server.pools import pool as pool_module
from server.pools import renewal, tasks
from server.pools.models import REPLACED, Proven, RefusedFile
from server.pools.plan import PoolPlan
from server.pools.pool import Parts, Pool
from server.pools.template import TemplateLost
from server.pools.template_keeper import FileGone
from tests.server.pools.described import DESCRIPTION


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "TOGETHER_S", 0.01)
    monkeypatch.setattr(renewal, "PAUSE_S", 0.01)
    monkeypatch.setattr(tasks, "BACKOFF_S", (0.0, 0.01))


class Template:
    """What a keeper gives to fork from: it has read some models, and has no process."""

    aside = None

    def __init__(self, read: Iterable[str] = ()) -> None:
        self.read = self.holds = frozenset(read)

    async def prepare_fork(self, keys: Sequence[str]) -> None:
        self.holds = frozenset(keys)


class Keeper:
    """Keeps a template without a process. Something may happen while it reads a file."""

    facts: Mapping[str, str] = {}
    scratch = Path("/scratch")
    pid = -1
    """Of a template that is to stand aside; there is no process that others could come before."""

    def __init__(self, plan: PoolPlan, run_dir: Path, settings: Settings, held: Callable[[], list[Proven]], *_: object):
        self._held = held
        self.template = Template()
        self.lacking: list[RefusedFile] = []
        self.files: list[bytes] = []
        self.failing: set[str] = set()
        """Names of models that cannot be read into the template."""
        self.meanwhile: Callable[[], object] = int
        self.lost = self.gone = 0
        """How often no other template can be had: it is lost, or a file has changed."""
        self.stopped: list[frozenset[str]] = []

    @property
    def read(self) -> frozenset[str]:
        return self.template.read

    @property
    def holds(self) -> frozenset[str]:
        return self.template.holds

    async def living(self) -> Template:
        return self.template

    async def complete(self) -> tuple[Template, list[RefusedFile]]:
        return self.template, self.lacking

    async def undisturbed(self) -> bool:
        return True

    async def load(self, proven: Proven) -> str | None:
        self.files.append(proven.file.path.read_bytes())
        self.template.read |= {proven.file.model_key}
        self.template.holds |= {proven.file.model_key}
        happens, self.meanwhile = self.meanwhile, int
        happens()
        return "no memory" if proven.file.name in self.failing else None

    async def fresh(self) -> Template:
        if self.lost:
            self.lost -= 1
            raise TemplateLost("too busy")
        if self.gone:
            self.gone -= 1
            raise FileGone("b")
        return Template(proven.file.model_key for proven in self._held())

    async def take(self, fresh: Template) -> Keeper:
        self.before, self.template = self.template, fresh
        return self

    async def stop(self) -> None:
        self.stopped.append(self.before.read)


class Workers:
    """Forks nothing, and knows what each worker's template would have read. Something may happen while it forks."""

    def __init__(self, plan: PoolPlan, *_: object) -> None:
        self.generation = 0
        self.size = plan.size
        self.reason = None
        self.changing = asyncio.Lock()
        self.forked: list[int] = []
        """The size of each generation."""
        self.meanwhile: Callable[[], object] = int
        self.forking: Callable[[], Awaitable[object]] | None = None
        self.workers: dict[int, frozenset[str]] = {}

    async def fork(self, template: Template, size: int) -> dict[int, frozenset[str]]:
        self.forked.append(size)
        self.meanwhile()
        if self.forking is not None:
            await self.forking()
        return dict.fromkeys(range(1, size + 1), template.read)

    def turn(self, new: dict[int, frozenset[str]], size: int) -> list[frozenset[str]]:
        old, self.workers = self.workers, new
        self.generation += 1
        self.size = size
        return list(old.values())

    def retire(self, workers: object) -> None:
        """There is nothing that could leave."""

    def read(self) -> list[frozenset[str]]:
        return list(self.workers.values())

    def sockets(self) -> dict[str, str]:
        return {}

    def pids(self) -> list[int]:
        return []

    def kill(self, name: str, reason: str) -> None:
        """There is no process to kill."""


class Prober:
    """Proves each file at once, but those that have to wait."""

    def __init__(self, settings: Settings, scratch: Path, living: object, on_proven: Callable[[Proven], None], *_: Any):
        self._on_proven = on_proven
        self.waits: dict[str, asyncio.Event] = {}

    async def examine(self, files: Sequence[ModelFile]) -> None:
        for file in files:
            if file.name in self.waits:
                await self.waits[file.name].wait()
            self._on_proven(Proven(file, Sidecar(), DESCRIPTION, 0.0))


class Stage:
    """A pool of fakes over a folder of real files."""

    def __init__(self, folder: Path, plan: PoolPlan | None = None) -> None:
        self.folder = folder
        parts: Any = Parts(Keeper, Workers, Prober)  # type: ignore[arg-type]
        plan = plan or PoolPlan("r", "r", 2)
        self.pool: Any = Pool(plan, folder, Settings(), _nothing, lambda runtime, reason: None, parts=parts)
        self.keeper: Keeper = self.pool._keeper
        self.workers: Workers = self.pool._workers
        self.prober: Prober = self.pool._prober

    def write(self, name: str, text: str = "one") -> None:
        path = self.folder / f"{name}.rds"
        path.parent.mkdir(parents=True, exist_ok=True)
        newer = self.folder / "newer"
        newer.write_text(text)
        newer.rename(path)

    def remove(self, name: str) -> None:
        (self.folder / f"{name}.rds").unlink()

    def key(self, name: str) -> str:
        return next(file.model_key for file in self.files() if file.name == name)

    def files(self) -> list[ModelFile]:
        return [identify(candidate) for candidate in candidates(self.folder, R_FILES)]

    def look(self) -> None:
        self.pool.update(self.files())

    async def serve(self, *names: str) -> None:
        """Write these files and wait until they serve."""
        for name in names:
            self.write(name)
        self.look()
        await self.quiet()

    async def quiet(self) -> None:
        """Wait until the pool has nothing left to do."""
        await until(lambda: not self.pool._tasks._tasks)

    def states(self) -> list[tuple[str, str]]:
        return [(e.name, e.state) for e in self.pool.models.entries()]


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


async def _nothing() -> None:
    """Publish to nobody."""


def play(scene: Callable[[Stage], Awaitable[None]], folder: Path, plan: PoolPlan | None = None) -> None:
    async def run() -> None:
        await scene(Stage(folder, plan))

    asyncio.run(run())


def test_what_is_proven_while_a_generation_turns_is_served_in_the_next(tmp_path: Path) -> None:
    """Regression: with a slow model as the last one, the server waited for it for ever."""

    async def scene(stage: Stage) -> None:
        proven = stage.prober.waits["b"] = asyncio.Event()

        async def forking() -> None:  # the examination ends here, before this turn does
            proven.set()
            for _ in range(10):
                await asyncio.sleep(0)

        stage.workers.forking = forking
        await stage.serve("a", "b")
        assert stage.states() == [("a", "ready"), ("b", "ready")]
        assert stage.workers.generation == 2

    play(scene, tmp_path)


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (PoolPlan("r", "r", 2, spares=True), [(2, 0, 2), (4, 2, 4), (4, 2, 4), (4, 2, 4), (2, 0, 2)]),
        (PoolPlan("r1", "r", 2), [(2, 0, 2)] * 5),
    ],
)
def test_there_are_as_many_spare_workers_while_there_are_several_models(
    plan: PoolPlan, expected: list[tuple[int, int, int]], tmp_path: Path
) -> None:
    async def scene(stage: Stage) -> None:
        seen = []

        def see() -> None:
            seen.append((stage.pool.wanted, stage.pool.state().model_share, stage.workers.forked[-1]))

        assert (stage.pool.wanted, stage.pool.state().model_share) == (0, 0)
        for name, text in (("a", "one"), ("b", "one"), ("b", "two")):
            stage.write(name, text)
            stage.look()
            await stage.quiet()
            see()
        stage.pool.let_go({stage.folder / "a.rds"})
        see()  # the generation has not turned yet
        await stage.quiet()
        see()
        assert seen == expected

    play(scene, tmp_path, plan)


def test_two_versions_of_one_model_need_no_spares(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.serve("a/1/model", "a/2/model")
        assert stage.states() == [("a", "ready"), ("a", "ready")]
        assert stage.pool.wanted == 2

    play(scene, tmp_path, PoolPlan("r", "r", 2, spares=True))


def test_when_a_model_leaves_the_processes_that_have_read_it_leave_too(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.serve("a", "b")
        both = frozenset({stage.key("a"), stage.key("b")})
        assert stage.workers.generation == 1
        stage.remove("a")
        stage.look()
        await stage.quiet()
        assert set(stage.workers.read()) == {frozenset({stage.key("b")})}
        assert stage.workers.generation == 2  # from a template that never had it; none before that costs its neighbours
        assert stage.keeper.stopped == [both]

    play(scene, tmp_path)


def test_a_model_that_was_refused_when_it_had_been_read_leaves_nothing(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.serve("a")
        stage.keeper.failing.add("b")
        await stage.serve("b")
        assert stage.states() == [("a", "ready"), ("b", "failed")]
        assert set(stage.workers.read()) == {frozenset({stage.key("a")})} == {stage.keeper.read}
        assert len(stage.keeper.stopped) == 1

    play(scene, tmp_path)


def test_a_template_that_cannot_be_renewed_is_tried_again(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.serve("a", "b")
        stage.keeper.lost, stage.keeper.gone = 3, 2
        stage.remove("a")
        stage.look()
        await stage.quiet()
        assert set(stage.workers.read()) == {frozenset({stage.key("b")})}
        assert stage.workers.generation == 3  # one frees the memory of `a` while a renewal has to wait

    play(scene, tmp_path)


def test_a_model_that_leaves_while_the_template_is_renewed_leaves_nothing_either(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.serve("a", "b", "c")
        b_and_c, only_c = stage.files()[1:], stage.files()[2:]
        stage.workers.meanwhile = lambda: stage.workers.generation == 1 and stage.pool.update(only_c)
        stage.pool.update(b_and_c)
        await stage.quiet()
        assert set(stage.workers.read()) == {frozenset({stage.key("c")})}
        assert len(stage.keeper.stopped) == 2

    play(scene, tmp_path)


def test_a_newer_file_that_is_seen_while_workers_are_forked_is_not_forgotten(tmp_path: Path) -> None:
    """Regression: it was, and the file before it served for ever."""

    async def scene(stage: Stage) -> None:
        def newer() -> None:
            stage.workers.meanwhile = int
            stage.write("a", "two")
            stage.look()

        stage.workers.meanwhile = newer
        await stage.serve("a")
        assert [(e.model_key, e.state) for e in stage.pool.models.entries()] == [(stage.key("a"), "ready")]
        assert stage.keeper.files == [b"one", b"two"]

    play(scene, tmp_path)


def test_a_file_that_goes_while_workers_are_forked_is_not_served(tmp_path: Path) -> None:
    """Regression: it was, for ever, because nothing changed any more."""

    async def scene(stage: Stage) -> None:
        await stage.serve("b")

        def gone() -> None:
            stage.workers.meanwhile = int
            stage.remove("a")
            stage.look()

        stage.workers.meanwhile = gone
        await stage.serve("a")
        assert stage.states() == [("b", "ready")]
        assert stage.keeper.read == {stage.key("b")}

    play(scene, tmp_path)


def lacks(stage: Stage, name: str) -> RefusedFile:
    return RefusedFile(
        stage.pool.models.serving[stage.folder / f"{name}.rds"].file, REPLACED, "its file is another one"
    )


def test_a_model_that_new_workers_lack_serves_on_until_there_are_new_workers_and_then_says_so(tmp_path: Path) -> None:
    """Regression: it was ready in the catalog, and some workers had never heard of it."""

    async def scene(stage: Stage) -> None:
        await stage.serve("a", "b")
        newer = RefusedFile(stage.files()[0], "unreadable", "no .rds file")
        stage.pool.models.refuse(newer)
        before = [("a", "ready"), ("b", "ready"), ("a", "failed")]
        assert stage.states() == before
        stage.keeper.lacking = [lacks(stage, "a")]
        assert stage.states() == before
        assert await stage.pool.source() is None  # as a set of workers asks when one of them has crashed
        assert stage.states() == [("b", "ready"), ("a", "failed")]
        assert stage.workers.generation == 2
        assert await stage.pool.source() is stage.keeper.template

    play(scene, tmp_path)


def test_it_is_looked_at_again_when_its_file_is_back(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.serve("a")
        stage.keeper.lacking = [lacks(stage, "a")]
        await stage.serve("b")
        assert stage.states() == [("b", "ready"), ("a", "failed")]
        assert [file.name for file in stage.pool.models.unknown(stage.files())] == ["a"]

    play(scene, tmp_path)


def test_bytes_that_came_while_a_file_was_read_are_never_served_under_its_key(tmp_path: Path) -> None:
    """Regression: replaced every second, a model answered as its next version under the name of the one before."""

    async def scene(stage: Stage) -> None:
        stage.keeper.meanwhile = lambda: stage.write("a", "two")
        asyncio.get_running_loop().call_later(0.1, stage.look)
        await stage.serve("a")
        assert stage.keeper.files == [b"one", b"two"]
        assert [(e.model_key, e.state) for e in stage.pool.models.entries()] == [(stage.key("a"), "ready")]

    play(scene, tmp_path)


def test_a_file_that_was_written_again_as_it_was_while_it_was_read_is_read_again(tmp_path: Path) -> None:
    path, same = tmp_path / "a.rds", tmp_path / "same"
    for file in (path, same):
        file.write_bytes(b"one")
        os.utime(file, (1e9, 1e9))

    async def scene(stage: Stage) -> None:
        stage.keeper.meanwhile = lambda: same.rename(path)
        stage.look()
        await stage.quiet()
        assert stage.keeper.files == [b"one", b"one"]
        assert stage.states() == [("a", "ready")]

    play(scene, tmp_path)
