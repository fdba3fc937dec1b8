"""A template is built again from the files that there are: what a file has become is never served as what it was."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from server.catalog.files import R_FILES, ModelFile, candidates, identify
from server.catalog.sidecar import Sidecar
from server.config import Settings
from server.supervisor import template_keeper
from server.supervisor.plan import PoolPlan
from server.supervisor.shelf import Proven
from server.supervisor.template_keeper import FileGone, TemplateKeeper


class Template:
    """One without a process. Something may happen while it reads a file."""

    facts: Mapping[str, str] = {}
    r_is_vulnerable = blind = ending = False
    pid = 1

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.holds: set[str] = set()
        self.read: set[str] = set()
        self.lost = asyncio.Event()
        self._meanwhile = meanwhile

    async def load(self, spec: Mapping[str, Any], timeout_s: float) -> tuple[None, None]:
        self._meanwhile()
        self.holds.add(spec["key"])
        return None, None

    def kill(self) -> None:
        self.lost.set()


class Stage:
    """A model file that serves, and who keeps a template for it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "a.rds"
        self.path.write_bytes(b"one")
        [found] = candidates(folder, R_FILES)
        self.file = identify(found)
        self.started: list[Template] = []
        self.gone: list[ModelFile] = []
        self.meanwhile: Callable[[], object] = int
        monkeypatch.setattr(template_keeper.Template, "start", self._start)
        proven = Proven(self.file, Sidecar(), {}, 0.0)
        self.keeper = TemplateKeeper(
            PoolPlan("r", "r", 1), folder, Settings(), lambda: [proven], lambda template: None, self.gone.append
        )

    async def _start(self, *_: object) -> Template:
        self.started.append(Template(self.meanwhile))
        return self.started[-1]

    def replace(self) -> None:
        newer = self.path.with_name("newer")
        newer.write_bytes(b"two")
        newer.rename(self.path)


def play(folder: Path, monkeypatch: pytest.MonkeyPatch, scene: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        await scene(Stage(folder, monkeypatch))

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


def test_when_the_template_is_lost_a_file_that_was_replaced_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        before = await stage.keeper.living()
        before.kill()
        stage.replace()
        assert await stage.keeper.living() is not before
        assert stage.gone == [stage.file]

    play(tmp_path, monkeypatch, scene)
