"""A pool's own order of things, where a server would show a fault only by chance."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from server.catalog.files import R_FILES, ModelFile, candidates, identify
from server.catalog.sidecar import Sidecar
from server.config import Settings
from server.pools import pool as pool_module
from server.pools.models import REPLACED, Proven, Refused
from server.pools.plan import PoolPlan
from server.pools.pool import Pool
from server.pools.template import TemplateLost
from server.pools.template_keeper import FileGone
from server.pools.worker import NeverAnswered


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "TOGETHER_S", 0.01)


class Prober:
    """Proves one file at once, and another while the pool is busy with the first."""

    def __init__(self, pool: SlowlyTurningPool) -> None:
        self._pool = pool

    async def examine(self, files: Sequence[ModelFile]) -> None:
        self._pool._on_proven("first")
        await self._pool.turning.wait()
        self._pool._on_proven("second")


class SlowlyTurningPool(Pool):
    """A pool whose generations take until all files have been examined."""

    def __init__(self, folder: Path) -> None:
        super().__init__(PoolPlan("r", "r", 1), folder, Settings(), _nothing, lambda pool, reason: None)
        self._prober: Any = Prober(self)
        self.turning = asyncio.Event()
        self.served: list[Any] = []

    async def _serve_proven(self) -> None:
        proven, self._proven = self._proven, []
        self.turning.set()
        while "second" not in [*self._proven, *proven, *self.served]:
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # the examination ends here, before this turn does
        self.served += proven


async def _nothing() -> None:
    """Publish to nobody."""


def test_what_is_proven_while_a_generation_turns_is_served_in_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: with a slow model as the last one, the server waited for it for ever."""
    monkeypatch.setattr(pool_module, "TOGETHER_S", 0.01)

    async def take_in() -> list[Any]:
        pool = SlowlyTurningPool(tmp_path)
        await pool._take_in([])
        return pool.served

    assert asyncio.run(take_in()) == ["first", "second"]


class Keeper:
    """Keeps a template without a process, which is itself; each of its forks has what it has read."""

    facts: Mapping[str, str] = {}
    scratch = Path("/scratch")

    def __init__(self, read: Iterable[str] = ()) -> None:
        self.read = frozenset(read)
        self.lacking: list[Refused] = []

    async def complete(self) -> Any:
        return self, self.lacking

    async def undisturbed(self) -> bool:
        return True

    async def load(self, proven: Proven) -> None:
        self.read |= {proven.file.key}

    async def settle(self, keys: Sequence[str]) -> None:
        """Nothing to make ready."""


class Forkless(Pool):
    """A pool that turns generations without processes: something may happen while it forks."""

    def __init__(self, folder: Path, plan: PoolPlan) -> None:
        super().__init__(plan, folder, Settings(), _nothing, lambda pool, reason: None)
        self.meanwhile: Callable[[], object] = int
        self.sizes: list[int] = []
        self._guarded = True  # there is nobody to watch over
        self._keeper: Any = Keeper()

    async def _fork_all(self, template: object, slots: Iterable[int], generation: int) -> dict[int, Any]:
        self.sizes.append(len(list(slots)))
        self.meanwhile()
        return {}

    async def serve(self, *files: ModelFile) -> None:
        """As if these had been proven and loaded."""
        for file in files:
            self.shelf.loading[file.path] = file
            self._loaded[file.path] = Proven(file, Sidecar(), {}, 0.0)
        await self._turn_generation()
        while others := [t for t in self._tasks if t.get_coro().__name__ == "_leave_out"]:
            await asyncio.gather(*others)

    def states(self) -> list[tuple[str, str]]:
        return [(e.key, e.state) for e in self.entries()]


def model(name: str, key: str = "") -> ModelFile:
    path = Path(f"/models/{name}.rds")
    return ModelFile("r", name, "1", key or f"{name}/1/1", path, path.with_suffix(".yaml"), 9, 1e9, False)


def test_there_are_as_many_spare_workers_while_there_are_several_models(tmp_path: Path) -> None:
    async def turn(plan: PoolPlan) -> list[tuple[int, int, int]]:
        pool, seen = Forkless(tmp_path, plan), []
        seen.append((pool.wanted, pool.state().model_share, 0))
        for files in ([model("a")], [model("b")], [model("b", "b/2/2")]):
            await pool.serve(*files)
            seen.append((pool.wanted, pool.state().model_share, pool.sizes[-1]))
        pool.let_go({model("a").path})
        seen.append((pool.wanted, pool.state().model_share, pool.sizes[-1]))  # the generation has not turned yet
        await pool.serve()
        seen.append((pool.wanted, pool.state().model_share, pool.sizes[-1]))
        return seen

    shared = asyncio.run(turn(PoolPlan("r", "r", 2, spares=True)))
    assert shared == [(0, 0, 0), (2, 0, 2), (4, 2, 4), (4, 2, 4), (4, 2, 4), (2, 0, 2)]
    own = asyncio.run(turn(PoolPlan("r1", "r", 2)))
    assert own == [(0, 0, 0), *[(2, 0, 2)] * 5]


class Renewing(Forkless):
    """A pool whose workers say what their template had read, and whose template may be another."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, PoolPlan("r", "r", 2))
        self._keeper.fresh = self.fresh
        self._keeper.take = self.take
        self.lost = 0
        self.changed = 0
        self.stopped: list[frozenset[str]] = []

    async def fresh(self) -> Keeper:
        if self.lost:
            self.lost -= 1
            raise TemplateLost("too busy")
        if self.changed:
            self.changed -= 1
            raise FileGone("b")
        return Keeper(proven.file.key for proven in self._held())

    async def take(self, fresh: Keeper) -> Any:
        before, self._keeper.read = self._keeper.read, fresh.read
        return Mock(stop=AsyncMock(side_effect=lambda: self.stopped.append(before)))

    async def _fork_all(self, template: Any, slots: Iterable[int], generation: int) -> dict[int, Any]:
        self.meanwhile()
        return {slot: self._worker(template.read) for slot in slots}

    def _worker(self, read: frozenset[str]) -> Any:
        return Mock(read=read, worn=_never, drain=AsyncMock(), fork=Mock(ended=_never))

    async def serve(self, *files: ModelFile) -> None:
        self._keeper.read |= {file.key for file in files}
        await super().serve(*files)

    async def renewed(self) -> set[frozenset[str]]:
        """What its workers' templates have read, once no model that has left is among it."""
        async with asyncio.timeout(5):
            while self._has_left() or self._renewing:
                await asyncio.sleep(0.001)
        for task in self._tasks:
            task.cancel()
        return {worker.read for worker in self._workers.values()}


@pytest.mark.usefixtures("soon")
def test_when_a_model_leaves_the_processes_that_have_read_it_leave_too(tmp_path: Path) -> None:
    async def scene() -> tuple[set[frozenset[str]], int, list[frozenset[str]]]:
        pool = Renewing(tmp_path)
        await pool.serve(model("a"), model("b"))
        assert not pool._has_left()
        pool.update([model("b")])
        return await pool.renewed(), pool.generation, pool.stopped

    left, generation, stopped = asyncio.run(scene())
    assert left == {frozenset({model("b").key})}
    assert generation == 3  # at once without the model, and then from a template that never had it
    assert stopped == [frozenset({model("a").key, model("b").key})]


@pytest.mark.usefixtures("soon")
def test_a_model_that_was_refused_when_it_had_been_read_leaves_nothing(tmp_path: Path) -> None:
    async def scene() -> set[frozenset[str]]:
        pool = Renewing(tmp_path)
        await pool.serve(model("a"))
        pool._keeper.read |= {"refused/1/1"}
        await pool._serve_proven()
        return await pool.renewed()

    assert asyncio.run(scene()) == {frozenset({model("a").key})}


@pytest.mark.usefixtures("soon")
def test_a_template_that_cannot_be_renewed_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "BACKOFF_S", (0.0, 0.01))

    async def scene() -> set[frozenset[str]]:
        pool = Renewing(tmp_path)
        await pool.serve(model("a"), model("b"))
        pool.lost, pool.changed = 3, 2
        pool.update([model("b")])
        return await pool.renewed()

    assert asyncio.run(scene()) == {frozenset({model("b").key})}


@pytest.mark.usefixtures("soon")
def test_a_model_that_leaves_while_the_template_is_renewed_leaves_nothing_either(tmp_path: Path) -> None:
    async def scene() -> tuple[set[frozenset[str]], int]:
        pool = Renewing(tmp_path)
        await pool.serve(model("a"), model("b"), model("c"))
        pool.meanwhile = lambda: pool.generation == 2 and pool.update([model("c")])
        pool.update([model("b"), model("c")])
        return await pool.renewed(), len(pool.stopped)

    assert asyncio.run(scene()) == ({frozenset({model("c").key})}, 2)


def test_two_versions_of_one_model_need_no_spares(tmp_path: Path) -> None:
    async def turn() -> int:
        pool = Forkless(tmp_path, PoolPlan("r", "r", 2, spares=True))
        other = replace(model("a", "a/2/2"), path=Path("/models/a/2/model.rds"), version="2", in_version_folder=True)
        await pool.serve(model("a"), other)
        return pool.wanted

    assert asyncio.run(turn()) == 2


def test_a_newer_file_that_is_seen_while_workers_are_forked_is_not_forgotten(tmp_path: Path) -> None:
    """Regression: it was, and the file before it served for ever."""

    async def turn() -> list[tuple[str, str]]:
        pool, newer = Forkless(tmp_path, PoolPlan("r", "r", 1)), model("a", "a/2/2")
        pool.meanwhile = lambda: pool.shelf.loading.update({newer.path: newer})
        await pool.serve(model("a"))
        return pool.states()

    assert asyncio.run(turn()) == [("a/1/1", "ready"), ("a/2/2", "loading")]


def test_a_file_that_goes_while_workers_are_forked_is_not_served(tmp_path: Path) -> None:
    """Regression: it was, for ever, because nothing changed any more."""

    async def turn() -> tuple[list[tuple[str, str]], list[int]]:
        pool = Forkless(tmp_path, PoolPlan("r", "r", 1))
        await pool.serve(model("b"))
        pool.meanwhile = lambda: pool.shelf.keep_only({model("b").path})
        await pool.serve(model("a"))
        return pool.states(), pool.sizes

    assert asyncio.run(turn()) == ([("b/1/1", "ready")], [1, 1, 1])


def without_processes(model: ModelFile) -> Refused:
    return Refused(model, REPLACED, "its file is another one by now")


def test_a_model_that_new_workers_lack_serves_on_until_there_are_new_workers_and_then_says_so(tmp_path: Path) -> None:
    """Regression: it was ready in the catalog, and some workers had never heard of it."""

    async def scene() -> list[list[tuple[str, str]]]:
        pool = Renewing(tmp_path)
        await pool.serve(model("a"), model("b"))
        del pool._workers[1]  # it has crashed
        pool.shelf.refuse(Refused(model("a", "a/2/2"), "unreadable", "no .rds file"))
        seen = [pool.states()]
        pool._keeper.lacking = [without_processes(pool.shelf.serving[model("a").path].file)]
        seen.append(pool.states())
        await pool._refill(1)
        for task in pool._tasks:
            task.cancel()
        return [*seen, pool.states(), [("generation", str(pool.generation))]]

    before = [("a/1/1", "ready"), ("b/1/1", "ready"), ("a/2/2", "failed")]
    after = [("b/1/1", "ready"), ("a/2/2", "failed")]
    assert asyncio.run(scene()) == [before, before, after, [("generation", "2")]]


def test_it_is_looked_at_again_when_its_file_is_back(tmp_path: Path) -> None:
    async def scene() -> tuple[list[tuple[str, str]], list[ModelFile]]:
        pool = Forkless(tmp_path, PoolPlan("r", "r", 1))
        await pool.serve(model("a"))
        pool._keeper.lacking = [without_processes(pool.shelf.serving[model("a").path].file)]
        await pool.serve(model("b"))
        return pool.states(), pool.shelf.unknown([model("a"), model("b")])

    assert asyncio.run(scene()) == ([("b/1/1", "ready"), ("a/1/1", "failed")], [model("a")])


class PoolOfDyingWorkers(Pool):
    """A pool whose template forks what dies at once, so many times."""

    def __init__(self, folder: Path, deaths: int) -> None:
        self.states: list[str | None] = []
        super().__init__(PoolPlan("r", "r", 1), folder, Settings(), self._note, lambda pool, reason: None)
        self._deaths = deaths
        self.shelf.serving[folder] = Any  # type: ignore[assignment]  # something serves
        self._keeper: Any = Keeper()

    async def _note(self) -> None:
        self.states.append(self.reason)

    async def _fork(self, template: Any, slot: int, generation: int) -> Any:
        self._deaths -= 1
        if self._deaths >= 0:
            raise NeverAnswered("r-1.1")
        return Mock(slot=slot, answer=AsyncMock(), worn=AsyncMock(return_value=False), fork=Mock(ended=_never))


async def _never() -> None:
    await asyncio.Event().wait()


def test_refills_that_fail_wait_longer_each_time_and_readiness_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "BACKOFF_S", waits := (0.0, 0.01, 0.02, 0.04))
    waited: list[float] = []

    async def refill() -> PoolOfDyingWorkers:
        sleep = asyncio.sleep

        async def sleeping(seconds: float) -> None:
            waited.append(seconds)
            await sleep(seconds)

        monkeypatch.setattr(pool_module.asyncio, "sleep", sleeping)
        pool = PoolOfDyingWorkers(tmp_path, deaths=6)
        await pool._refill(1)
        for task in pool._tasks:
            task.cancel()
        return pool

    pool = asyncio.run(refill())
    assert waited == [*waits, waits[-1], waits[-1]]
    assert pool.states[0] == "workers cannot be started"
    assert pool.states[-1] is None


class Reading(Forkless):
    """One whose template reads a real file, to which something may happen while it does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, PoolPlan("r", "r", 1))
        self.read: list[bytes] = []
        self._prober: Any = self
        self._keeper.load = self.load

    async def examine(self, files: Sequence[ModelFile]) -> None:
        for file in files:
            self._on_proven(Proven(file, Sidecar(), {}, 0.0))

    async def load(self, proven: Proven) -> None:
        self.read.append(proven.file.path.read_bytes())
        happens, self.meanwhile = self.meanwhile, int
        happens()

    async def take_in(self, folder: Path) -> None:
        self.update([identify(candidates(folder, R_FILES)[0])])
        while self._tasks:
            await asyncio.gather(*self._tasks)


@pytest.mark.usefixtures("soon")
def test_bytes_that_came_while_a_file_was_read_are_never_served_under_its_key(tmp_path: Path) -> None:
    """Regression: replaced every second, a model answered as its next version under the name of the one before."""
    path, newer = tmp_path / "a.rds", tmp_path / "newer"
    path.write_bytes(b"one")
    newer.write_bytes(b"two")

    async def scene() -> list[tuple[str, str]]:
        pool = Reading(tmp_path)
        pool.meanwhile = lambda: newer.rename(path)
        asyncio.get_running_loop().call_later(0.1, lambda: pool.update([identify(candidates(tmp_path, R_FILES)[0])]))
        await pool.take_in(tmp_path)
        assert pool.read == [b"one", b"two"]
        return pool.states()

    assert asyncio.run(scene()) == [(identify(candidates(tmp_path, R_FILES)[0]).key, "ready")]


@pytest.mark.usefixtures("soon")
def test_a_file_that_was_written_again_as_it_was_while_it_was_read_is_read_again(tmp_path: Path) -> None:
    path, same = tmp_path / "a.rds", tmp_path / "same"
    for file in (path, same):
        file.write_bytes(b"one")
        os.utime(file, (1e9, 1e9))

    async def scene() -> list[tuple[str, str]]:
        pool = Reading(tmp_path)
        pool.meanwhile = lambda: same.rename(path)
        await pool.take_in(tmp_path)
        assert pool.read == [b"one", b"one"]
        return pool.states()

    assert asyncio.run(scene()) == [(identify(candidates(tmp_path, R_FILES)[0]).key, "ready")]
