"""A template is built again from the files that there are: what a file has become is never served as what it was."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.catalog.files import R_FILES, candidates, identify
from server.catalog.sidecar import Sidecar
from server.config import Settings
from server.pools import tasks, template_keeper
from server.pools.models import REPLACED, Proven
from server.pools.plan import PoolPlan
from server.pools.tasks import Backoff, Tasks
from server.pools.template import TemplateLost
from server.pools.template_keeper import FileGone, TemplateKeeper
from server.wire.models import ModelSpec
from tests.server.pools.described import DESCRIPTION


class Aside:
    """Without a session."""

    standing = True

    async def come_forward(self) -> None:
        self.standing = False


class Template:
    """One without a process. Something may happen while it reads a file."""

    facts: Mapping[str, str] = {}
    r_is_vulnerable = folders_replaced = ending = silent = False
    """It is lost without having been asked to end."""
    pid = 1

    def __init__(self, meanwhile: Callable[[], object], failed: str | None = None) -> None:
        self.files: list[bytes] = []
        self.holds: set[str] = set()
        self.read: set[str] = set()
        self.lost = asyncio.Event()
        self._meanwhile = meanwhile
        self._failed = failed
        self.aside: Aside | None = None
        self.done: list[tuple[str, bool]] = []
        """What it did, and whether it let others have the processors meanwhile."""

    async def load(self, spec: ModelSpec, timeout_s: float) -> tuple[str | None, None]:
        self._meanwhile()
        self.done.append(("load", self.aside is not None and self.aside.standing))
        self.files.append(Path(spec.path).read_bytes())
        if self._failed is None:
            self.holds.add(spec.model_key)
        return self._failed, None

    async def prepare_fork(self, keep: Sequence[str]) -> None:
        self.done.append(("settle", self.aside is not None and self.aside.standing))

    def kill(self) -> None:
        self.lost.set()

    async def stop(self) -> None:
        self.ending = True
        self.lost.set()


class Stage:
    """A model file that serves, and who keeps a template for it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, read_by_workers: bool) -> None:
        self.path = folder / "a.rds"
        self.path.write_bytes(b"one")
        [found] = candidates(folder, R_FILES)
        self.file = identify(found)
        self.started: list[Template] = []
        self.failed: str | None = None
        self.cannot_start = 0
        self.meanwhile: Callable[[], object] = int
        monkeypatch.setattr(template_keeper.Template, "start", self._start)
        proven = Proven(self.file, Sidecar(), replace(DESCRIPTION, loads_in_worker=read_by_workers), 0.0)
        self.tasks = Tasks("r")
        self.lost = 0
        self.held = [proven]
        self.keeper = TemplateKeeper(
            PoolPlan("r", "r", 1), folder, Settings(), lambda: self.held, self.tasks, Backoff(), self._on_lost
        )

    async def lacking(self) -> list[tuple[str, str]]:
        """What forks would lack, and the code of why."""
        _, lacking = await self.keeper.complete()
        return [(one.file.model_key, one.code) for one in lacking]

    def _on_lost(self) -> None:
        self.lost += 1

    async def _start(self, *arguments: object) -> Template:
        if self.cannot_start:
            self.cannot_start -= 1
            raise TemplateLost("too busy")
        self.started.append(Template(self.meanwhile, self.failed))
        self.started[-1].aside = Aside() if arguments[-1] is True else None
        return self.started[-1]

    def replace(self) -> None:
        newer = self.path.with_name("newer")
        newer.write_bytes(b"two")
        newer.rename(self.path)


def play(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    scene: Callable[[Stage], Awaitable[None]],
    read_by_workers: bool = False,
) -> None:
    async def run() -> None:
        await scene(Stage(folder, monkeypatch, read_by_workers))

    asyncio.run(run())


def test_a_file_that_was_replaced_is_not_read_as_the_version_that_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: with it in the new template, the old version's name gave the new version's answers."""

    async def scene(stage: Stage) -> None:
        before = await stage.keeper.living()
        stage.replace()
        with pytest.raises(FileGone):
            await stage.keeper.fresh()
        assert len(stage.started) == 1
        assert await stage.keeper.living() is before

    play(tmp_path, monkeypatch, scene)


def test_nor_one_that_is_replaced_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> None:
        stage.meanwhile = stage.replace
        with pytest.raises(FileGone):
            await stage.keeper.fresh()
        assert [template.lost.is_set() for template in stage.started] == [True]

    play(tmp_path, monkeypatch, scene)


def test_a_file_that_was_touched_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> None:
        os.utime(stage.path, (1e9, 1e9))
        assert (await stage.keeper.fresh()).holds == {stage.file.model_key}

    play(tmp_path, monkeypatch, scene)


def test_a_template_behind_the_back_of_those_who_serve_lets_them_have_the_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        assert (await stage.keeper.living()).done == [("load", False)]  # type: ignore[attr-defined]  # somebody waits
        fresh: Any = await stage.keeper.fresh()
        assert fresh.done == [("load", True), ("settle", True)]
        assert fresh.aside.standing  # until it has forked, which the pool knows

    play(tmp_path, monkeypatch, scene)


def test_when_the_template_is_lost_a_file_that_was_replaced_is_lacking_and_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: what the file had become was read under the key of what it had been."""

    async def scene(stage: Stage) -> None:
        before = await stage.keeper.living()
        before.kill()
        stage.replace()
        assert await stage.lacking() == [(stage.file.model_key, REPLACED)]
        assert [template.files for template in stage.started] == [[b"one"], []]

    play(tmp_path, monkeypatch, scene)


def test_nor_is_it_held_if_it_is_replaced_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> None:
        stage.meanwhile = stage.replace
        assert await stage.lacking() == [(stage.file.model_key, REPLACED)]
        assert stage.started[0].holds == set()

    play(tmp_path, monkeypatch, scene)


def test_a_file_that_is_back_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> None:
        stage.replace()
        assert await stage.lacking() == [(stage.file.model_key, REPLACED)]
        stage.path.write_bytes(b"one")
        assert await stage.lacking() == []
        assert stage.started[0].files == [b"one"]

    play(tmp_path, monkeypatch, scene)


def test_what_cannot_be_read_once_more_is_lacking_and_no_reason_for_another_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: forks of the other template were taken to have it."""

    async def scene(stage: Stage) -> None:
        stage.failed = "no memory"
        assert await stage.lacking() == [(stage.file.model_key, "load_failed")]
        with pytest.raises(TemplateLost, match="no memory"):
            await stage.keeper.fresh()
        assert [template.lost.is_set() for template in stage.started] == [False, True]

    play(tmp_path, monkeypatch, scene)


def test_what_workers_read_by_themselves_is_looked_at_before_and_after_each_fork(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a new worker answered as the file that was there by then, or could not start at all."""

    async def scene(stage: Stage) -> None:
        assert await stage.lacking() == []
        assert await stage.keeper.undisturbed()
        stage.replace()
        assert not await stage.keeper.undisturbed()
        assert await stage.lacking() == [(stage.file.model_key, REPLACED)]

    play(tmp_path, monkeypatch, scene, read_by_workers=True)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


def test_a_template_that_is_lost_is_started_again_until_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "BACKOFF_S", (0.0, 0.001))

    async def scene(stage: Stage) -> None:
        await stage.keeper.living()
        stage.cannot_start = 3
        stage.started[0].kill()
        await until(lambda: len(stage.started) == 2)
        assert stage.lost == 1
        assert stage.cannot_start == 0
        assert await stage.keeper.living() is stage.started[1]

    play(tmp_path, monkeypatch, scene)


@pytest.mark.parametrize("stops", [False, True])
def test_but_not_where_the_pool_stops_or_has_no_model(
    stops: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        before = await stage.keeper.living()
        stage.tasks.stopped = stops
        stage.held.clear()
        before.kill()
        await until(lambda: before.ending)
        await asyncio.sleep(0)
        assert len(stage.started) == 1
        assert stage.lost == (0 if stops else 1)

    play(tmp_path, monkeypatch, scene)


def test_a_template_whose_model_folder_has_been_replaced_makes_way_for_one_that_sees_the_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        before = await stage.keeper.living()
        before.folders_replaced = True
        assert await stage.keeper.living() is not before
        assert before.ending
        await asyncio.sleep(0)
        assert stage.lost == 0

    play(tmp_path, monkeypatch, scene)
