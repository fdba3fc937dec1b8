"""Workers are forked, watched, refilled, replaced and retired.

The pool, the template and its processes are fakes by hand; the workers and their sockets are real.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from server.config import Settings
from server.pools import tasks as tasks_module
from server.pools.plan import PoolPlan
from server.pools.tasks import Backoff, Tasks
from server.pools.template import TemplateLost
from server.pools.worker import NeverAnswered
from server.pools.worker_set import WorkerSet
from server.wire import frames
from server.wire.frames import FrameType


class Fork:
    """A process that ends when it is told to."""

    pid = os.getpid()  # a real one, which the guard may look at

    def __init__(self) -> None:
        self._end = asyncio.Event()
        self._tell: list[Callable[[], None]] = []

    @property
    def alive(self) -> bool:
        return not self._end.is_set()

    async def ended(self) -> None:
        await self._end.wait()

    def when_ended(self, tell: Callable[[], None]) -> None:
        self._tell.append(tell)

    def kill(self) -> None:
        if self.alive:
            self._end.set()
            for tell in self._tell:
                tell()


class Template:
    """Forks what answers a PING with a PONG and leaves at a DRAIN; or what dies before, so many times."""

    def __init__(self) -> None:
        self.read = {"m/1/1"}
        self.deaths = 0
        self.forks: list[Fork] = []
        self.says: dict[int, asyncio.StreamWriter] = {}
        """By number of the fork, where it speaks to the supervisor."""
        self._servers: list[asyncio.Server] = []

    async def fork(self, slot: int, path: Path, seed: int, scratch: Path) -> Fork:
        fork, number = Fork(), len(self.forks)
        self.forks.append(fork)
        if self.deaths:
            self.deaths -= 1
            fork.kill()
            return fork

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.says[number] = writer
            decoder = frames.FrameDecoder(1 << 16)
            while data := await reader.read(4096):
                for frame in decoder.feed(data):
                    if frame.type is FrameType.PING:
                        writer.write(frames.encode_frame(FrameType.PONG))
                    else:
                        fork.kill()
            writer.close()

        self._servers.append(await asyncio.start_unix_server(serve, str(path)))
        return fork

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for writer in self.says.values():
            writer.transport.abort()
        await asyncio.sleep(0.01)  # a transport closes its socket in a later turn of the loop


class Owner:
    """What a set of workers asks of its pool."""

    def __init__(self) -> None:
        self.wanted = 2
        self.template: Template | None = Template()
        self.still = True
        self.published: list[tuple[int, str | None]] = []
        """How many workers there were, and why there were no more."""
        self.changed: list[tuple[str, str]] = []
        self.set: WorkerSet | None = None

    async def source(self) -> Any:
        return self.template

    async def undisturbed(self) -> bool:
        return self.still

    async def publish(self) -> None:
        assert self.set is not None
        self.published.append((len(self.set.pids()), self.set.reason))

    def on_changed_others(self, key: str, why: str) -> None:
        self.changed.append((key, why))


class Stage:
    """A set of workers, and what it told."""

    def __init__(self, folder: Path) -> None:
        self.owner = Owner()
        assert self.owner.template is not None
        self.template = self.owner.template
        self.tasks = Tasks("r")
        self.ended: list[str] = []
        self.refilled: list[float] = []
        self.set: Any = WorkerSet(
            PoolPlan("r", "r", 2),
            folder,
            folder / "scratch",
            Settings(),
            self.owner,
            self.tasks,
            Backoff(),
            lambda runtime, reason: self.ended.append(reason),
            lambda runtime, seconds: self.refilled.append(seconds),
        )
        self.owner.set = self.set

    async def turn(self) -> None:
        """A generation of two workers, in place of the one before."""
        self.set.retire(self.set.turn(await self.set.fork(self.template, 2), 2))

    def names(self) -> list[str]:
        return list(self.set.sockets())


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


def play(scene: Callable[[Stage], Awaitable[None]], folder: Path) -> None:
    async def run() -> None:
        stage = Stage(folder)
        try:
            await scene(stage)
        finally:
            await stage.tasks.stop()
            await stage.set.drain(1.0)
            await stage.template.close()

    asyncio.run(run())


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> tuple[float, ...]:
    monkeypatch.setattr(tasks_module, "BACKOFF_S", waits := (0.0, 0.01, 0.02, 0.04))
    return waits


def test_the_place_of_a_worker_that_dies_is_refilled(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.turn()
        assert stage.names() == ["r-1.1", "r-2.2"]
        stage.template.forks[0].kill()
        await until(lambda: stage.refilled)
        assert stage.names() == ["r-2.2", "r-1.3"]
        assert stage.ended == ["crashed"]
        assert stage.owner.published == [(2, None)]
        assert stage.set.read() == [frozenset({"m/1/1"})] * 2

    play(scene, tmp_path)


def test_refills_that_fail_wait_longer_each_time_and_readiness_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: tuple[float, ...]
) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(seconds)

    async def scene(stage: Stage) -> None:
        await stage.turn()
        stage.template.deaths = 6
        stage.template.forks[0].kill()
        await until(lambda: stage.refilled)
        assert stage.owner.published == [(1, "workers cannot be started"), (2, None)]

    monkeypatch.setattr(tasks_module, "sleep", sleep)
    play(scene, tmp_path)
    assert waited == [*waits, waits[-1], waits[-1]]


def test_nothing_is_refilled_once_no_model_serves_or_the_pool_stops(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.turn()
        stage.owner.wanted = 0
        stage.template.forks[0].kill()
        await until(lambda: stage.ended)
        await asyncio.sleep(0)
        assert stage.names() == ["r-2.2"]
        stage.owner.wanted = 2
        stage.tasks.stopped = True
        stage.template.forks[1].kill()
        await until(lambda: not list(tmp_path.glob("r-2.2.sock")))
        assert len(stage.template.forks) == 2

    play(scene, tmp_path)


def test_a_worker_that_asks_to_be_replaced_serves_until_another_does(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.turn()
        stage.template.says[0].write(frames.encode_frame(FrameType.RECYCLE))
        await until(lambda: stage.ended)
        assert stage.ended == ["recycled"]
        assert stage.names() == ["r-1.3", "r-2.2"]
        assert stage.owner.published == [(2, None)]
        await until(lambda: not stage.template.forks[0].alive)
        assert stage.refilled == []

    play(scene, tmp_path)


def test_the_pool_is_told_of_a_model_that_has_changed_its_worker_for_others(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.turn()
        stage.template.says[1].write(frames.encode_changed("m/1/1", "it sets an option"))
        await until(lambda: stage.ended)
        assert stage.owner.changed == [("m/1/1", "it sets an option")]
        assert stage.ended == ["changed"]

    play(scene, tmp_path)


def test_where_the_pool_has_turned_a_generation_no_worker_is_forked_for_an_older_one(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.turn()
        stage.owner.template = None
        stage.template.forks[0].kill()
        await until(lambda: stage.ended)
        stage.owner.wanted = 0
        await asyncio.sleep(0.02)
        assert stage.names() == ["r-2.2"]
        assert stage.owner.published == []

    play(scene, tmp_path)


@pytest.mark.parametrize("disturbed", [False, True])
def test_a_generation_of_which_one_never_answers_or_reads_another_file_leaves_none_behind(
    disturbed: bool, tmp_path: Path
) -> None:
    async def scene(stage: Stage) -> None:
        stage.template.deaths = 0 if disturbed else 1
        stage.owner.still = not disturbed
        with pytest.raises(NeverAnswered):
            await stage.set.fork(stage.template, 2)
        assert [fork.alive for fork in stage.template.forks] == [False, False]
        assert stage.set.generation == 0
        assert stage.names() == []
        assert list(tmp_path.glob("*.sock")) == []

    play(scene, tmp_path)


def test_a_template_that_is_lost_while_it_forks_leaves_none_behind(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        class Lost(Template):
            async def fork(self, *_: Any) -> Fork:
                raise TemplateLost("it has ended")

        await stage.turn()
        with pytest.raises(TemplateLost):
            await stage.set.fork(Lost(), 2)
        assert stage.names() == ["r-1.1", "r-2.2"]

    play(scene, tmp_path)


def test_the_older_generation_finishes_what_it_holds_and_can_be_killed_while_it_does(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.turn()
        old = stage.set.turn(await stage.set.fork(stage.template, 2), 2)
        assert stage.set.generation == 2
        assert all(worker.fork.alive for worker in old)
        stage.set.retire(old[:1])
        await until(lambda: not old[0].fork.alive)
        assert old[0].killed_for == "drained"
        stage.set.retire(old[1:])
        await asyncio.sleep(0)
        stage.set.kill("r-2.2", "deadline")
        await until(lambda: not old[1].fork.alive)
        await until(lambda: len(list(tmp_path.glob("*.sock"))) == 2)
        assert stage.names() == ["r-1.3", "r-2.4"]
        assert stage.ended == []

    play(scene, tmp_path)
