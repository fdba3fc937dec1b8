"""Pools of one model and the spares of the shared ones, on a real server: models that move while they serve."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import joblib
import orjson
import pytest
from sklearn.dummy import DummyRegressor

from tests.harness.load import Load, expect
from tests.harness.tandem import Tandem, eventually
from tests.harness.wheels import wheel

SPEED = {"rows": [{"speed": 10}]}
CONSTANT = {"rows": [{"x0": 1}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    """One server with two R models and a scikit-learn model, which every test leaves serving from the shared pools."""
    tandem = Tandem(tmp_path_factory.mktemp("own"), r_workers=1, python_workers=1, load_timeout_s=10)
    for name in ("stays", "moves"):
        tandem.drop(name, "lm(dist ~ speed, cars)")
    model = DummyRegressor(strategy="constant", constant=7).fit([[0.0]], [0.0])
    joblib.dump(model, tandem.python_models / "same.joblib")
    tandem.start()
    yield tandem
    assert tandem.stop() == 0


def say(server: Tandem, name: str, text: str | None) -> None:
    """Write or delete the sidecar of a model."""
    folder = server.python_models if name == "same" else server.r_models
    path = folder / f"{name}.yaml"
    if text is None:
        path.unlink()
    else:
        path.write_text(text)


def workers(server: Tandem, runtime: str) -> tuple[float, float]:
    """How many workers of a runtime are ready, and how many are missing."""
    return tuple(server.metric("tandem_workers", runtime=runtime, state=s) for s in ("ready", "missing"))


def answered(load: Load) -> None:
    """Wait until some more requests have been answered."""
    before = load.answered
    eventually(lambda: load.answered > before + 20)


class Catalog:
    """Looks at a model's versions all the while, and remembers what was wrong with them."""

    def __init__(self, server: Tandem, name: str) -> None:
        self._server = server
        self._name = name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.wrong: list[object] = []

    def __enter__(self) -> Catalog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.01):
            details = self._server.model(self._name)
            ready = [v["version"] for v in details["versions"] if v["state"] == "ready"]
            if details["version"] not in ready or len(set(ready)) < len(ready):
                self.wrong.append(details)


def test_a_model_moves_to_a_pool_of_its_own_changes_there_and_comes_back_without_a_failed_request(
    server: Tandem,
) -> None:
    """Old and new bytes have one answer each; none is ever given under the other's version."""
    right = {server.model("moves")["version"]: server.score("moves", SPEED).json()["predictions"]}
    templates = server.processes("template")
    assert workers(server, "r") == (2, 0), "one and a spare, because there are two models"

    def check(status: int, body: bytes) -> str | None:
        if status != 200:
            return f"{status}: {body!r}"
        reply = orjson.loads(body)
        return None if right.setdefault(reply["version"], reply["predictions"]) == reply["predictions"] else f"{reply}"

    with (
        Catalog(server, "moves") as catalog,
        Load(server, "moves", SPEED, check, 2) as load,
        Load(server, "stays", SPEED, expect(server.score("stays", SPEED).json()["predictions"]), 1) as other,
    ):
        say(server, "moves", "workers: 2\n")
        eventually(lambda: workers(server, "r") == (3, 0))  # its own two, and one for the model that stays
        answered(load)
        own = next(
            line["pid"] for line in server.log_lines() if line["message"] == "template ready" and line["pool"] == "r1"
        )
        server.drop("moves", "lm(dist ~ speed, head(cars, 40))")
        eventually(lambda: len(right) == 2)
        eventually(lambda: not Path(f"/proc/{own}").exists())
        answered(load)
        say(server, "moves", None)
        eventually(lambda: len(server.processes("template")) == len(templates))
        answered(load)
    assert (load.wrong, other.wrong, catalog.wrong) == ([], [], [])
    assert len(set(map(tuple, right.values()))) == len(right) == 2
    assert workers(server, "r") == (2, 0)


def test_a_scikit_learn_model_moves_to_a_pool_of_its_own_and_back_without_a_failed_request(server: Tandem) -> None:
    with Load(server, "same", CONSTANT, expect([7]), 2) as load:
        say(server, "same", "workers: 2\nthreads: 2\n")
        eventually(lambda: workers(server, "python") == (2, 0))
        answered(load)
        say(server, "same", None)
        eventually(lambda: workers(server, "python") == (1, 0))
        answered(load)
    assert load.wrong == []


def test_a_sidecar_that_does_not_suit_the_model_is_refused_and_the_model_goes_on_serving(server: Tandem) -> None:
    for text, code in (
        ("workers: 2\ntorch: {top_k: 3}\n", "bad_sidecar"),
        ("workers: 2\ngolden: [{row: {speed: 10}, response: 1}]\n", "golden_mismatch"),
    ):
        say(server, "moves", text)
        eventually(lambda c=code: (v := server.version("moves", "failed")) and v["code"] == c)
        assert server.version("moves", "ready")
        assert server.score("moves", SPEED).status_code == 200
    say(server, "moves", None)
    eventually(lambda: server.version("moves", "failed") is None)
    assert server.score("moves", SPEED).status_code == 200


def test_a_model_of_a_pool_of_its_own_leaves_at_once_when_its_file_goes(server: Tandem) -> None:
    templates = server.processes("template")
    (server.r_models / "leaves.yaml").write_text("workers: 1\n")
    server.drop("leaves", "lm(dist ~ speed, cars)")
    eventually(lambda: server.score("leaves", SPEED).status_code == 200)
    assert workers(server, "r") == (3, 0)
    (server.r_models / "leaves.rds").unlink()
    eventually(lambda: server.score("leaves", SPEED).status_code == 404, timeout_s=2)
    eventually(lambda: len(server.processes("template")) <= len(templates))
    eventually(lambda: workers(server, "r") == (2, 0))
    (server.r_models / "leaves.yaml").unlink()


@pytest.mark.parametrize("sidecar", ["", "workers: 1\n"], ids=["by the spares", "by a pool of its own"])
def test_a_stuck_model_does_not_keep_the_others_waiting(server: Tandem, sidecar: str) -> None:
    folder = server.r_models / "slow"
    folder.mkdir()
    (folder / "model.yaml").write_text(f"schema: {{inputs: [{{name: s, type: numeric}}]}}\n{sidecar}")
    (folder / "score.R").write_text("run <- function(df) { if (isTRUE(df$s[1] == 77)) Sys.sleep(1.5); df$s }\n")
    eventually(lambda: server.score("slow", {"rows": [{"s": 0}]}).status_code == 200)
    replies: list[int] = []
    slow = [
        threading.Thread(target=lambda: replies.append(server.score("slow", {"rows": [{"s": 77}]}).status_code))
        for _ in range(2)
    ]
    for thread in slow:
        thread.start()
    eventually(lambda: server.metric("tandem_queue_depth", runtime="r") >= 1)
    started = time.monotonic()
    assert server.score("stays", SPEED).status_code == 200
    assert time.monotonic() - started < 1.0
    assert replies == []
    for thread in slow:
        thread.join()
    assert replies == [200, 200]
    _remove(folder)
    eventually(lambda: server.model("slow") == {})


def test_with_several_web_processes_a_model_that_is_stuck_in_one_keeps_nobody_waiting_in_another(
    tandem_factory: Callable[..., Tandem],
) -> None:
    server = tandem_factory(web_workers=2, r_workers=1, timeout_s=60, queue_wait_s=60)
    end = server.r_models / "end"
    server.drop("stays", "lm(dist ~ speed, cars)")
    folder = server.r_models / "slow"
    folder.mkdir()
    (folder / "model.yaml").write_text("schema: {inputs: [{name: s, type: numeric}]}\n")
    stuck = f"while (isTRUE(df$s[1] == 77) && !file.exists('{end}')) Sys.sleep(0.05)"
    (folder / "score.R").write_text(f"run <- function(df) {{ {stuck}; df$s }}\n")
    server.start()
    eventually(lambda: server.score("slow", {"rows": [{"s": 0}]}).status_code == 200)
    replies: list[int] = []

    def ask() -> None:
        replies.append(server.score("slow", {"rows": [{"s": 77}]}).status_code)

    slow = [threading.Thread(target=ask) for _ in range(2)]
    for number, thread in enumerate(slow, 1):
        thread.start()
        eventually(lambda n=number: server.metric("tandem_inflight", runtime="r") >= n)  # type: ignore[misc]
    statuses = {server.score("stays", SPEED).status_code for _ in range(20)}  # each on a connection of its own
    assert (statuses, replies) == ({200}, []), "some waited behind the call that is stuck"
    end.touch()
    for thread in slow:
        thread.join()
    assert replies == [200, 200]


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


SHADE = """
VERSION = "{version}"
class Model:
    n_features_in_ = 1
    def predict(self, rows):
        return [float(VERSION)] * len(rows)
"""


def test_a_python_model_has_the_requirements_beside_it(server: Tandem) -> None:
    """Two models of one package in two versions, which the server has in none."""
    wheels = server.python_models / ".wheels"
    wheels.mkdir()
    for name, version in (("light", "1.0"), ("dark", "2.0")):
        wheel(wheels, "shade", version, code=SHADE.format(version=version))
        lines = f"--no-index\n--find-links {wheels.name}\nshade=={version}\n"
        (server.python_models / f"{name}.requirements.txt").write_text(lines)
        (server.python_models / f"{name}.pkl").write_bytes(b"cshade\nModel\n)R.")
    for name, shade in (("light", 1.0), ("dark", 2.0)):
        eventually(lambda name=name: server.score(name, CONSTANT).status_code == 200, 300)
        assert server.score(name, CONSTANT).json()["predictions"] == [shade]
    (server.python_models / "light.requirements.txt").write_text("--no-index\nnothing-of-this-name==1\n")
    code = eventually(lambda: next((v["code"] for v in server.model("light")["versions"] if v.get("code")), None), 120)
    assert code == "bad_requirements"
    assert server.score("light", CONSTANT).json()["predictions"] == [1.0]
    for name in ("light", "dark"):
        for path in server.python_models.glob(f"{name}.*"):
            path.unlink()
    _remove(wheels)
    eventually(lambda: server.score("light", CONSTANT).status_code == 404, 60)
