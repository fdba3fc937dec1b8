"""A template is built again from the files that there are: what a file has become is never served as what it was."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from server.catalog.files import R_FILES, candidates, identify
from server.catalog.sidecar import Sidecar
from server.config import Settings
from server.pools import template_keeper
from server.pools.models import REPLACED, Proven
from server.pools.plan import PoolPlan
from server.pools.template import TemplateLost
from server.pools.template_keeper import FileGone, TemplateKeeper


class Template:
    """One without a process. Something may happen while it reads a file."""

    facts: Mapping[str, str] = {}
    r_is_vulnerable = blind = ending = False
    pid = 1

    def __init__(self, meanwhile: Callable[[], object], failed: str | None = None) -> None:
        self.files: list[bytes] = []
        self.holds: set[str] = set()
        self.read: set[str] = set()
        self.lost = asyncio.Event()
        self._meanwhile = meanwhile
        self._failed = failed

    async def load(self, spec: Mapping[str, Any], timeout_s: float) -> tuple[str | None, None]:
        self._meanwhile()
        self.files.append(Path(spec["path"]).read_bytes())
        if self._failed is None:
            self.holds.add(spec["key"])
        return self._failed, None

    def kill(self) -> None:
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
        self.meanwhile: Callable[[], object] = int
        monkeypatch.setattr(template_keeper.Template, "start", self._start)
        proven = Proven(self.file, Sidecar(), {"loads_in_worker": read_by_workers}, 0.0)
        self.keeper = TemplateKeeper(PoolPlan("r", "r", 1), folder, Settings(), lambda: [proven], lambda template: None)

    async def lacking(self) -> list[tuple[str, str]]:
        """What forks would lack, and the code of why."""
        _, lacking = await self.keeper.complete()
        return [(one.file.key, one.code) for one in lacking]

    async def _start(self, *_: object) -> Template:
        self.started.append(Template(self.meanwhile, self.failed))
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
        assert (await stage.keeper.fresh()).holds == {stage.file.key}

    play(tmp_path, monkeypatch, scene)


def test_when_the_template_is_lost_a_file_that_was_replaced_is_lacking_and_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: what the file had become was read under the key of what it had been."""

    async def scene(stage: Stage) -> None:
        before = await stage.keeper.living()
        before.kill()
        stage.replace()
        assert await stage.lacking() == [(stage.file.key, REPLACED)]
        assert [template.files for template in stage.started] == [[b"one"], []]

    play(tmp_path, monkeypatch, scene)


def test_nor_is_it_held_if_it_is_replaced_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> None:
        stage.meanwhile = stage.replace
        assert await stage.lacking() == [(stage.file.key, REPLACED)]
        assert stage.started[0].holds == set()

    play(tmp_path, monkeypatch, scene)


def test_a_file_that_is_back_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> None:
        stage.replace()
        assert await stage.lacking() == [(stage.file.key, REPLACED)]
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
        assert await stage.lacking() == [(stage.file.key, "load_failed")]
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
        assert await stage.lacking() == [(stage.file.key, REPLACED)]

    play(tmp_path, monkeypatch, scene, read_by_workers=True)
