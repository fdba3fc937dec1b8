"""A real server with Python models: dropped, scored over HTTP, bad files refused, workers killed and refilled."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnxruntime
import pytest
import skops.io
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.harness.tandem import Tandem, eventually, parent_of

FRAME, SPECIES = load_iris(return_X_y=True, as_frame=True)
NAMES = [*FRAME.columns]
IRIS = FRAME.to_numpy()


def requests_of(count: int) -> list[dict[str, Any]]:
    return [{"rows": [dict(zip(NAMES, IRIS[i].tolist(), strict=True))], "output": "prob"} for i in range(count)]


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    logistic = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, SPECIES)
    forest = RandomForestClassifier(5, random_state=0).fit(FRAME, SPECIES)
    return {"logistic": logistic, "forest": forest, "graph": LogisticRegression(max_iter=500).fit(IRIS, SPECIES)}


class _Dying:
    def __reduce__(self) -> Any:
        return os._exit, (1,)


@pytest.fixture(scope="module")
def python_tandem(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Any]) -> Iterator[Tandem]:
    server = Tandem(tmp_path_factory.mktemp("tandem"), python_workers=2)
    folder = server.python_models
    joblib.dump(models["logistic"], folder / "logistic.joblib")
    (folder / "forest.yaml").write_text("trusted: [sklearn.tree._tree.Tree]")
    skops.io.dump(models["forest"], folder / "forest.skops")
    skops.io.dump(models["forest"], folder / "untrusted.skops")
    graph = to_onnx(models["graph"], IRIS[:1].astype(np.float32), options={"zipmap": False})
    (folder / "graph.onnx").write_bytes(graph.SerializeToString())
    (folder / "dying.pkl").write_bytes(pickle.dumps(_Dying()))
    (folder / "old.pkl").write_bytes(_of_another_version(models["logistic"]))
    server.start()
    yield server
    assert server.stop() == 0


def _of_another_version(model: Any) -> bytes:
    import sklearn

    version = sklearn.__version__.encode()
    return pickle.dumps(model).replace(version, b"0".ljust(len(version), b"0"))


def test_every_kind_of_file_is_served(python_tandem: Tandem) -> None:
    for name in ("logistic", "forest", "graph", "old"):
        found = eventually(lambda name=name: python_tandem.version(name, "ready"))
        assert found["runtime"] == "python"
    assert eventually(lambda: python_tandem.version("logistic", "ready"))["batched"] is True
    old = python_tandem.version("old", "ready")
    assert old is not None
    assert "Trying to unpickle" in old["load_warnings"][0]
    assert "load_warnings" not in (python_tandem.version("logistic", "ready") or {})


@pytest.mark.parametrize("name", ["logistic", "forest"])
def test_answers_under_load_are_those_of_the_library(name: str, python_tandem: Tandem, models: dict[str, Any]) -> None:
    eventually(lambda: python_tandem.version(name, "ready"))
    with ThreadPoolExecutor(16) as pool:
        replies = [*pool.map(lambda body: python_tandem.score(name, body).json(), requests_of(40))]
    for i, reply in enumerate(replies):
        [given] = reply["predictions"]
        assert [*given.values()] == models[name].predict_proba(FRAME.iloc[[i]])[0].tolist()


def test_a_graph_answers_as_onnxruntime_does(python_tandem: Tandem) -> None:
    eventually(lambda: python_tandem.version("graph", "ready"))
    path = python_tandem.python_models / "graph.onnx"
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    rows = [dict(zip(("x0", "x1", "x2", "x3"), row, strict=True)) for row in IRIS[:5].tolist()]
    reply = python_tandem.score("graph", {"rows": rows, "output": "prob"}).json()
    expected = session.run(None, {"X": IRIS[:5].astype(np.float32)})[1]
    assert [[*p.values()] for p in reply["predictions"]] == expected.tolist()


def test_a_file_that_kills_its_process_is_refused_and_harms_nobody(python_tandem: Tandem) -> None:
    assert eventually(lambda: python_tandem.version("dying", "failed"))["reason"]
    untrusted = eventually(lambda: python_tandem.version("untrusted", "failed"))
    assert "trusted: [sklearn.tree._tree.Tree]" in untrusted["reason"]
    assert python_tandem.score("logistic", requests_of(1)[0]).status_code == 200


def test_rows_that_a_model_cannot_bear_are_refused(python_tandem: Tandem) -> None:
    row = dict.fromkeys(NAMES, "Inf")
    reply = python_tandem.score("logistic", {"rows": [row]})
    assert (reply.status_code, "infinite" in reply.json()["detail"]) == (422, True)


def test_the_template_has_one_thread_and_a_killed_worker_is_refilled(python_tandem: Tandem) -> None:
    eventually(lambda: python_tandem.version("graph", "ready"))
    [template] = [pid for pid in python_tandem.processes("template") if b"python\0" in _runtime(pid)]
    assert len([*Path(f"/proc/{template}/task").iterdir()]) == 1

    def workers() -> list[int]:
        return [pid for pid in python_tandem.processes("worker") if parent_of(pid) == template]

    before = eventually(lambda: w if len(w := workers()) == 4 else None)  # two, and two spares
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: len(now := workers()) == 4 and before[0] not in now)
    assert python_tandem.score("logistic", requests_of(1)[0]).status_code == 200


def _runtime(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"--runtime\0")[2][:10]
