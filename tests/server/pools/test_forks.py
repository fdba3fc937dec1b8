"""A model whose library's threads do not live on in a fork is read by its workers, and hinders nobody."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from tests.harness.tandem import Tandem, eventually

SOURCE = """
import numpy
from concurrent.futures import ThreadPoolExecutor

class Threaded:
    n_features_in_ = 1

    def __init__(self):
        self.pool = ThreadPoolExecutor(1)
        self.pool.submit(int).result()

    def predict(self, X):
        return self.pool.submit(lambda: numpy.asarray(X)[:, 0] * 2).result()
"""


class Source:
    """Pickles as a new `Threaded`, whose reader starts its thread."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"(lambda space: (exec({SOURCE!r}, space), space['Threaded']())[1])({{}})",)


def drop_threaded(folder: Path, name: str) -> None:
    (folder / f"{name}.pkl").write_bytes(pickle.dumps(Source()))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Tandem]:
    tandem = Tandem(tmp_path, python_workers=1).start()
    yield tandem
    assert tandem.stop() == 0


def test_what_does_not_live_through_a_fork_is_read_by_its_workers_and_answers(server: Tandem) -> None:
    for name in ("threaded_a", "threaded_b"):
        drop_threaded(server.python_models, name)
    for name in ("threaded_a", "threaded_b"):
        about = eventually(lambda name=name: server.version(name, "ready"), 120)
        assert "threads, which do not live on in a fork" in about["isolated"]
        for _ in range(2):
            reply = server.score(name, {"rows": [{"x0": 1}, {"x0": 2}]})
            assert reply.json()["predictions"] == [2, 4], reply.text


def test_lightgbm_answers_with_its_own_bits_and_the_next_model_is_served_too(server: Tandem) -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    rows = np.random.default_rng(1).normal(size=(300, 2))
    one = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(rows, rows[:, 0] > 0)
    two = lightgbm.LGBMRegressor(n_estimators=5, verbose=-1).fit(rows, rows[:, 1])
    for name, model in (("lgb_one", one), ("lgb_two", two)):
        joblib.dump(model, server.python_models / f"{name}.joblib")
    asked = {"rows": [dict(zip(("x0", "x1"), map(float, row), strict=True)) for row in rows[:3]]}
    for name in ("lgb_one", "lgb_two"):
        eventually(lambda name=name: server.version(name, "ready"), 120)
    found = server.score("lgb_two", asked).json()["predictions"]
    assert found == two.predict(rows[:3]).tolist()
    found = server.score("lgb_one", asked | {"output": "prob"}).json()["predictions"]
    assert [list(row.values()) for row in found] == one.predict_proba(rows[:3]).tolist()
