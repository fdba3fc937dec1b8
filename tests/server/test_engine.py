"""The engine scores without HTTP: real templates, real workers, R and Python. One engine is shared by the tests."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from sklearn.linear_model import LinearRegression

from server.catalog.files import PYTHON_FILES, R_FILES, ModelFile, candidates, identify
from server.config import Settings
from server.dispatch.messages import Refusal
from server.engine import BodyTooLarge, Engine, Member, NotServed, Refused, Scored
from server.run_folder import RunFolder
from server.wire.frames import BodyFormat, ReplyCode
from tests.harness.tandem import descendants, eventually, run_r

CRASHES_ABOVE_100 = (
    "local({f <- function(x) {if (any(x > 100)) tools::pskill(Sys.getpid(), 9L); x}; lm(dist ~ f(speed), cars)})"
)
SLEEPS_ABOVE_100 = "local({f <- function(x) {if (any(x > 100)) Sys.sleep(30); x}; lm(dist ~ f(speed), cars)})"
SAVE = f"""
folder <- commandArgs(TRUE)
saveRDS(lm(dist ~ speed, cars), file.path(folder, "cars.rds"))
saveRDS({CRASHES_ABOVE_100}, file.path(folder, "crashes.rds"))
saveRDS({SLEEPS_ABOVE_100}, file.path(folder, "sleeps.rds"))
cat(format(predict(lm(dist ~ speed, cars), data.frame(speed = 10)), digits = 17))
"""


class Stage:
    """An engine over two folders of models, in an event loop that lasts."""

    def __init__(self, folder: Path) -> None:
        self._runner = asyncio.Runner()
        self.r_models = folder / "r_models"
        self.python_models = folder / "python_models"
        self.r_models.mkdir()
        self.python_models.mkdir()
        self.settings = Settings(
            r_models=self.r_models, python_models=self.python_models, r_workers=2, python_workers=1, max_body_mb=1
        )
        self.predicted_by_r = float(run_r(SAVE, str(self.r_models)))
        (self.r_models / "broken.rds").write_bytes(b"\x1f\x8b no model")
        line = LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])
        (self.python_models / "line.pkl").write_bytes(pickle.dumps(line))
        self.before = set(descendants(os.getpid()))
        self.engine = self.run(self._open())

    async def _open(self) -> Engine:
        engine = Engine(self.settings)
        await engine.open(self.files())
        return engine

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def files(self) -> list[ModelFile]:
        found = [*candidates(self.r_models, R_FILES), *candidates(self.python_models, PYTHON_FILES)]
        return [identify(one) for one in found]

    def key(self, name: str) -> str:
        return next(file.model_key for file in self.files() if file.name == name)

    async def score(self, name: str, row: dict[str, float], **more: Any) -> Scored:
        return await self.engine.score(self.key(name), member(row), **more)

    def processes(self) -> set[int]:
        return set(descendants(os.getpid())) - self.before

    def close(self) -> None:
        self._runner.close()


def member(*rows: dict[str, float], content: int = BodyFormat.JSON) -> Member:
    return Member(orjson.dumps({"rows": list(rows)}), content)


def predictions(scored: Scored) -> Sequence[float]:
    assert scored.result.code == ReplyCode.OK, scored.result.body
    return list(orjson.loads(b"{" + scored.result.body.lstrip(b"{,"))["predictions"])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("engine"))
    yield stage
    processes = stage.processes()
    assert processes
    folder = stage.engine._folder.path
    stage.run(stage.engine.close())
    stage.close()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes))
    assert not folder.exists()


def test_models_of_r_and_of_python_answer_without_http(stage: Stage) -> None:
    assert predictions(stage.run(stage.score("cars", {"speed": 10}))) == [stage.predicted_by_r]
    assert predictions(stage.run(stage.score("line", {"x0": 2}))) == [pytest.approx(5.0)]


def test_it_says_what_has_become_of_each_file(stage: Stage) -> None:
    states = {entry.name: (entry.state, entry.code) for entry in stage.engine.entries}
    assert states.pop("broken") == ("failed", "unreadable")
    assert set(states.values()) == {("ready", None)}
    with pytest.raises(NotServed, match="broken: "):
        stage.run(stage.score("broken", {"speed": 10}))
    with pytest.raises(NotServed, match="open its file first"):
        stage.run(stage.engine.score("another/1/2", member({"speed": 10})))


def test_requests_made_together_each_get_their_own_answer(stage: Stage) -> None:
    async def many() -> list[Scored]:
        return await asyncio.gather(*(stage.score("line", {"x0": x}) for x in range(50)))

    scored = stage.run(many())
    assert [predictions(one) for one in scored] == [[pytest.approx(2.0 * x + 1)] for x in range(50)]
    assert max(one.batch_requests for one in scored) > 1


def test_a_row_that_does_not_fit_is_an_answer_and_no_exception(stage: Stage) -> None:
    scored = stage.run(stage.score("cars", {"spead": 10}))
    assert scored.result.code == ReplyCode.INVALID
    assert b"speed" in scored.result.body


def test_a_worker_that_dies_is_replaced_and_its_request_refused(stage: Stage) -> None:
    with pytest.raises(Refused) as refused:
        stage.run(stage.score("crashes", {"speed": 101}))
    assert refused.value.refusal is Refusal.WORKER_CRASHED
    assert predictions(stage.run(stage.score("crashes", {"speed": 10}))) == [stage.predicted_by_r]


def test_all_workers_may_be_killed_and_others_take_their_places(stage: Stage) -> None:
    def workers() -> set[int]:
        return {pid for pool in stage.engine._pools for pid in pool.pids()}

    async def scene() -> Scored:
        before = workers()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            while len(workers()) < len(before) or workers() & before:
                await asyncio.sleep(0.02)
        return await stage.score("cars", {"speed": 10})

    assert predictions(stage.run(scene())) == [stage.predicted_by_r]


def test_a_request_that_takes_too_long_is_refused_in_time(stage: Stage) -> None:
    with pytest.raises(Refused) as refused:
        stage.run(stage.score("sleeps", {"speed": 101}, timeout_s=1.2))
    assert refused.value.refusal is Refusal.DEADLINE
    assert predictions(stage.run(stage.score("sleeps", {"speed": 10}))) == [stage.predicted_by_r]


def test_a_body_that_no_server_would_take_is_not_sent(stage: Stage) -> None:
    with pytest.raises(BodyTooLarge, match="TANDEM_MAX_BODY_MB"):
        stage.run(stage.engine.score(stage.key("cars"), Member(b" " * (1 << 20) + b"{}")))
    assert predictions(stage.run(stage.score("cars", {"speed": 10}))) == [stage.predicted_by_r]


def test_other_files_take_the_place_of_those_before(stage: Stage) -> None:
    files = stage.files()
    stage.run(stage.engine.open([file for file in files if file.name != "crashes"]))
    with pytest.raises(NotServed):
        stage.run(stage.score("crashes", {"speed": 10}))
    assert predictions(stage.run(stage.score("cars", {"speed": 10}))) == [stage.predicted_by_r]
    stage.run(stage.engine.open(files))
    assert predictions(stage.run(stage.score("crashes", {"speed": 10}))) == [stage.predicted_by_r]


def test_what_waits_when_the_engine_is_closed_is_refused_and_no_process_is_left(tmp_path: Path) -> None:
    run_r(f"saveRDS({SLEEPS_ABOVE_100}, commandArgs(TRUE))", str(tmp_path / "sleeps.rds"))
    [file] = [identify(one) for one in candidates(tmp_path, R_FILES)]
    before = set(descendants(os.getpid()))

    async def scene() -> set[int]:
        async with Engine(Settings(r_models=tmp_path, r_workers=1), folder=RunFolder()) as engine:
            await engine.open([file])
            waiting = asyncio.create_task(engine.score(file.model_key, member({"speed": 101})))
            await asyncio.sleep(0.2)
            processes = set(descendants(os.getpid())) - before
        with pytest.raises(Refused):
            await waiting
        return processes

    processes = asyncio.run(scene())
    assert len(processes) >= 2
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes))
