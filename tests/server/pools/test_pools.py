"""Which pool a model is for, and who serves it while it moves; with pools that prove a file when they are told to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from server.catalog.files import ModelFile, Signed
from server.catalog.sidecar import Sidecar
from server.config import Settings
from server.pools import pools as pools_module
from server.pools.models import PoolModels, Proven, RefusedFile
from server.pools.plan import PoolPlan
from server.pools.pools import Pools
from server.wire.snapshot import Entry
from tests.server.pools.described import DESCRIPTION


class FakePool:
    """A pool without processes: its models, and what was asked of it."""

    def __init__(
        self,
        plan: PoolPlan,
        publish: Callable[[], Awaitable[None]],
        on_isolated: Callable[[ModelFile, str], None] | None = None,
        **_: object,
    ) -> None:
        self.plan = plan
        self.isolate: Any = on_isolated
        self.models = PoolModels(plan.name)
        self.stopped = False
        self._publish = publish

    def update(self, files: Sequence[ModelFile]) -> None:
        assert not self.stopped
        self.models.keep_only({f.path for f in files})
        self.models.restored(files)
        self.models.loading |= {f.path: f for f in self.models.unknown(files)}

    def let_go(self, paths: set[Path]) -> None:
        self.models.forget(paths)

    async def stop(self, *_: object) -> None:
        self.stopped = True

    async def prove(self) -> None:
        """What is being looked at serves from now on."""
        for file in list(self.models.loading.values()):
            self.models.serve(Proven(file, Sidecar(), DESCRIPTION, 0.0))
        await self._publish()

    @property
    def settled(self) -> bool:
        return not self.models.loading

    async def refuse(self) -> None:
        for file in list(self.models.loading.values()):
            self.models.refuse(RefusedFile(file, "crashes", "it crashed"))
        await self._publish()


class Stage:
    """Pools over a folder of model files, and what they have published."""

    def __init__(self, folder: Path, cores: int = 4, **settings: Any) -> None:
        self._folder = folder
        self._files: dict[str, ModelFile] = {}
        self.published: list[list[Entry]] = []
        self.pools = Pools(folder, Settings(**settings), self._publish, lambda *_: None, lambda *_: None, cores)

    async def _publish(self) -> None:
        entries = self.pools.entries()
        ready = [e for e in entries if e.state == "ready"]
        assert len({(e.name, e.version) for e in ready}) == len(ready), "one version is in two pools"
        self.published.append(entries)

    async def there_are(self, **files: str | None) -> None:
        """Files by name, with their sidecars' texts; None deletes one."""
        for name, text in files.items():
            if text is None:
                del self._files[name]
            else:
                self._files[name] = _file(self._folder, name, text)
        await self.update()

    async def update(self) -> None:
        await self.pools.update(list(self._files.values()))
        await self._publish()

    async def touch(self, name: str) -> None:
        self._files[name] = replace(self._files[name], modified=self._files[name].modified + 1)
        await self.update()

    def file(self, name: str) -> ModelFile:
        return self._files[name]

    def isolate(self, which: str | ModelFile, why: str) -> None:
        """What the shared pool says when it has found a model to need a pool of its own."""
        file = self._files[which] if isinstance(which, str) else which
        self.pool(file.runtime).isolate(file, why)

    async def pools_have_left(self) -> None:
        await asyncio.gather(*self.pools._leaving)

    def pool(self, name: str) -> Any:
        return {pool.plan.name: pool for pool in self.pools}[name]

    def named(self) -> list[str]:
        return [pool.plan.name for pool in self.pools][3:]

    def where(self) -> list[tuple[str, str, str]]:
        """Pool, sidecar's digest and state of what the catalog has."""
        return [(e.pool, e.model_key.rpartition("/")[2], e.state) for e in self.pools.entries()]


def _file(folder: Path, name: str, text: str) -> ModelFile:
    runtime = {"s": "script", "p": "python", "t": "torch"}.get(name[0], "r")
    path, sidecar = folder / name / "model", folder / f"{name}.yaml"
    sidecar.write_text(text)
    return ModelFile(runtime, name, "1", f"{name}/1/{text}", path, sidecar, 9, 1e9, True)


def play(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    scene: Callable[[Stage], Awaitable[None]],
    cores: int = 4,
    **settings: Any,
) -> None:
    """Have a scene happen in a loop of its own."""
    monkeypatch.setattr(pools_module, "Pool", FakePool)

    async def run() -> None:
        stage = Stage(folder, cores, **settings)
        await scene(stage)
        await stage.pools_have_left()

    asyncio.run(run())


def test_a_model_goes_to_its_runtimes_pool_unless_its_sidecar_asks_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.there_are(a="", b="workers: 3", p="workers: 2", s="", s2="workers: 4\nthreads: 2", t="workers: 2")
        plans = {pool.plan.name: pool.plan for pool in stage.pools}
        assert {e.name: e.pool for e in stage.pools.entries()} == {
            **{"a": "r", "b": "r1", "p": "python2", "s": "script3", "s2": "script4"},
            "t": "torch",  # whose probe refuses it
        }
        assert [(plans[n].size, plans[n].threads) for n in ("r1", "python2", "script3", "script4")] == [
            *((3, 1), (2, 1), (1, 1), (4, 2))
        ]
        assert [plans[n].spares for n in ("r", "python", "torch", "r1", "python2")] == [True, True, False, False, False]

    play(tmp_path, monkeypatch, scene)


def test_each_model_has_a_pool_of_its_own_where_the_setting_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.there_are(a="", b="workers: 3", p="")
        assert {e.name: e.pool for e in stage.pools.entries()} == {"a": "r1", "b": "r2", "p": "python3"}

    play(tmp_path, monkeypatch, scene, pools="model")


def test_unsigned_models_share_other_pools_than_signed_ones_where_the_setting_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: dict[str, Literal["verified", "unsigned"]] = {"a": "verified", "b": "unsigned", "c": "unsigned"}

    async def scene(stage: Stage) -> None:
        await stage.there_are(a="", b="", c="")
        for name, outcome in outcomes.items():
            stage._files[name] = replace(stage.file(name), signed=Signed(outcome, ""), model_key=f"{name}/{outcome}")
        await stage.update()
        assert {e.name: e.pool for e in stage.pools.entries()} == {"a": "r", "b": "r-unsigned", "c": "r-unsigned"}
        plans = {pool.plan.name: pool.plan for pool in stage.pools}
        assert replace(plans["r-unsigned"], name="r") == plans["r"]

    key = tmp_path / "key.pem"
    play(tmp_path, monkeypatch, scene, pools="signed", model_signatures="warn", signature_key=key)


def test_a_model_that_begins_to_ask_is_served_by_the_shared_pool_until_its_own_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.there_are(a="")
        await stage.pool("r").prove()
        await stage.there_are(a="workers: 2")
        assert stage.where() == [("r1", "workers: 2", "loading"), ("r", "", "ready")]
        await stage.update()
        assert stage.where() == [("r1", "workers: 2", "loading"), ("r", "", "ready")]
        await stage.pool("r1").prove()
        assert stage.where() == [("r1", "workers: 2", "ready")]
        assert [[e.pool for e in entries if e.current] for entries in stage.published[1:]] == [["r"]] * 3 + [["r1"]]

    play(tmp_path, monkeypatch, scene)


def test_a_model_that_ceases_to_ask_is_served_by_its_own_pool_until_the_shared_one_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.there_are(a="workers: 2", b="")
        own = stage.pool("r1")
        await own.prove()
        await stage.pool("r").prove()
        await stage.there_are(a="")
        assert stage.where() == [("r", "", "loading"), ("r1", "workers: 2", "ready"), ("r", "", "ready")]
        await stage.pool("r").prove()
        assert stage.where() == [("r", "", "ready"), ("r", "", "ready")]
        await stage.pools_have_left()
        assert own.stopped

    play(tmp_path, monkeypatch, scene)


def test_a_changed_model_of_a_pool_of_its_own_gets_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> None:
        await stage.there_are(p="workers: 2")
        await stage.pool("python1").prove()
        await stage.there_are(p="workers: 3")
        assert stage.named() == ["python1", "python2"]
        await stage.there_are(p="workers: 4")
        assert stage.named() == ["python1", "python3"], "the one between never served"
        await stage.pool("python3").prove()
        assert stage.where() == [("python3", "workers: 4", "ready")]

    play(tmp_path, monkeypatch, scene)


def test_a_model_that_has_gone_leaves_at_once_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> None:
        await stage.there_are(a="", b="workers: 2", s="")
        for name in ("r", "r1", "script2"):
            await stage.pool(name).prove()
        await stage.there_are(a="workers: 2", b="")
        await stage.there_are(a=None, b=None, s=None)
        assert (stage.where(), stage.named()) == ([], [])

    play(tmp_path, monkeypatch, scene)


@pytest.mark.parametrize(("before", "after", "stands_in"), [("", "workers: 2", "r"), ("workers: 2", "", "r1")])
def test_a_model_whose_new_home_refuses_it_stays_and_is_at_home_again_when_it_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str, stands_in: str
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.there_are(a=before)
        await stage.pool(stands_in).prove()
        await stage.there_are(a=after)
        home = next(pool for pool in stage.pools if pool.models.loading)
        await home.refuse()
        assert (home.plan.name, after, "failed") in stage.where()
        assert (stands_in, before, "ready") in stage.where()
        await stage.touch("a")
        assert [pool for pool in stage.pools if pool.models.loading] == [home], "a touched file is looked at again"
        await stage.there_are(a=before)
        assert stage.where() == [(stands_in, before, "ready")]

    play(tmp_path, monkeypatch, scene)


def test_a_sidecar_that_is_bad_is_refused_by_the_shared_pool_and_nothing_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.there_are(a="workers: 2")
        await stage.pool("r1").prove()
        await stage.there_are(a="workers: many")
        await stage.pool("r").refuse()
        assert stage.where() == [("r", "workers: many", "failed"), ("r1", "workers: 2", "ready")]

    play(tmp_path, monkeypatch, scene)


def test_a_model_that_changes_its_mind_while_it_moves_is_served_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.there_are(a="")
        await stage.pool("r").prove()
        for text in ("workers: 2", "max_rows: 5", "workers: 3"):
            await stage.there_are(a=text)
            assert ("r", "", "ready") in stage.where()
        [own] = stage.named()
        await stage.pool(own).prove()
        for text in ("max_rows: 6", "workers: 4", ""):
            await stage.there_are(a=text)
            assert (own, "workers: 3", "ready") in stage.where()
        await stage.pool("r").prove()
        assert stage.where() == [("r", "", "ready")]
        assert stage.named() == []

    play(tmp_path, monkeypatch, scene)


def test_a_model_found_to_need_a_pool_of_its_own_gets_one_and_is_looked_at_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.there_are(a="", b="")
        stage.isolate("a", "it changes the locale")
        assert stage.where() == [("r1", "", "loading"), ("r", "", "loading")]
        assert not stage.pools.settled
        assert stage.pool("r1").plan.isolated == "it changes the locale"
        await stage.pool("r1").prove()
        await stage.pool("r").prove()
        await stage.update()
        assert stage.where() == [("r1", "", "ready"), ("r", "", "ready")], "what was found out stays known"
        await stage.there_are(a=None)
        assert stage.named() == []

    play(tmp_path, monkeypatch, scene)


def test_a_model_found_to_need_a_pool_of_its_own_while_it_serves_goes_on_until_that_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.there_are(p="")
        await stage.pool("python").prove()
        stage.isolate("p", "it changes the locale")
        assert stage.where() == [("python1", "", "loading"), ("python", "", "ready")]
        stage.isolate("p", "it changes the locale, again")
        await stage.pool("python1").prove()
        assert stage.where() == [("python1", "", "ready")]

    play(tmp_path, monkeypatch, scene)


def test_what_was_found_out_of_a_file_is_not_held_against_another_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.there_are(a="")
        old = stage.file("a")
        stage.isolate("a", "it changes the locale")
        await stage.there_are(a="max_rows: 5")
        assert stage.where() == [("r", "max_rows: 5", "loading")]
        stage.isolate(old, "it changes the locale")
        assert stage.where() == [("r", "max_rows: 5", "loading")]

    play(tmp_path, monkeypatch, scene)


def test_threads_of_all_pools_together_are_warned_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def warned() -> list[tuple[Any, ...]]:
        found = [(r.pool, r.threads, r.cores) for r in caplog.records if "threads" in r.message]
        caplog.clear()
        return found

    async def scene(stage: Stage) -> None:
        await stage.there_are(a="", p="", s="workers: 9", b="workers: 9", t="")
        assert warned() == [], "workers of one thread wait for each other; torch has a thread a core unless it is told"
        await stage.there_are(s="workers: 2\nthreads: 2")
        assert warned() == [("script3", 4 + 4 + 9 + 4 + 4, 4)], "those of other pools compute beside them"
        await stage.update()
        assert warned() == []
        await stage.there_are(p="workers: 4\nthreads: 2")
        assert warned() == [("python4, script3", 4 + 8 + 9 + 4 + 4, 4)]

    caplog.set_level(logging.WARNING)
    play(tmp_path, monkeypatch, scene, r_workers=4, python_workers=4)


def test_threads_that_the_cores_suffice_for_are_not_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.there_are(a="", s="threads: 4")

    caplog.set_level(logging.WARNING)
    play(tmp_path, monkeypatch, scene, cores=8, r_workers=4)
    assert not caplog.records
