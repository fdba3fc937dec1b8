"""A model that has left changes nothing any more: the processes that have read it leave with it, and nobody waits."""

from __future__ import annotations

import functools
import pickle
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from tests.harness.tandem import Tandem, eventually
from tests.server.pools.test_isolation import Source

FLOWER = {"rows": [{"x0": 5.1, "x1": 3.5, "x2": 1.4, "x3": 0.2}]}
FORGES = """
from server.workers.python.model import PythonModel
honest = PythonModel._predict

def forged(self, columns, *more, **named):
    return honest(self, columns[::-1], *more, **named)

PythonModel._predict = forged

class Model:
    n_features_in_ = 1
    def predict(self, X):
        return [1.0] * len(X)
"""


@contextmanager
def calling(server: Tandem, model: str, body: Any) -> Iterator[Counter[tuple[int, str]]]:
    """Call a model all the time; how often it was answered with what."""
    seen: Counter[tuple[int, str]] = Counter()
    stopped = threading.Event()

    def call() -> None:
        while not stopped.is_set():
            reply = server.score(model, body)
            seen[reply.status_code, str(reply.json().get("predictions"))] += 1

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield seen
    finally:
        stopped.set()
        thread.join()


def test_a_model_that_forged_its_neighbours_answers_is_gone_with_its_file_and_no_request_is_lost(
    tandem_factory: Callable[..., Tandem],
) -> None:
    server = tandem_factory(python_workers=1)
    flowers = load_iris()
    model = LogisticRegression(max_iter=500).fit(flowers.data, flowers.target_names[flowers.target])
    joblib.dump(model, server.python_models / "iris.joblib")
    server.start()
    [template] = server.processes("template")
    (server.python_models / "forger.pkl").write_bytes(pickle.dumps(Source(FORGES)))
    assert eventually(lambda: server.version("forger", "ready"))
    assert server.score("iris", FLOWER).json()["predictions"] == ["virginica"], "nothing tells that it does this"
    with calling(server, "iris", FLOWER) as seen:
        (server.python_models / "forger.pkl").unlink()
        eventually(lambda: server.score("iris", FLOWER).json()["predictions"] == ["setosa"], timeout_s=60)
        eventually(lambda: template not in server.processes("template") and len(server.processes("worker")) == 1)
        seen.clear()
        eventually(lambda: sum(seen.values()) > 20)
    assert seen.keys() == {(200, "['setosa']")}
    calls = functools.partial(server.metric, "tandem_requests_total", model="iris")
    assert eventually(lambda: calls() == calls(code="ok")), "what a web process counts is seen a moment later"
