"""XGBoost's, CatBoost's and LightGBM's own files, and MLflow's folders, side by side in one server.

Each answers with its library's bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import catboost
import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.linear_model import LinearRegression

from tests.harness.mlflow_folders import save
from tests.harness.tandem import Tandem, eventually
from tests.harness.wheels import wheel

CHANCE = np.random.default_rng(3)
HOMES = pd.DataFrame(CHANCE.normal(size=(200, 2)), columns=["size", "age"])
PRICES = HOMES["size"] * 3 - HOMES["age"]
LINE = LinearRegression().fit(HOMES, PRICES)
READY_S = 120


def fitted() -> dict[str, Any]:
    """The models by the files that they are saved as."""
    of_catboost = catboost.CatBoostRegressor(iterations=5, verbose=0, thread_count=1, allow_writing_files=False)
    return {
        "cat.cbm": of_catboost.fit(HOMES, PRICES),
        "xgb.ubj": xgboost.XGBRegressor(n_estimators=5, n_jobs=1).fit(HOMES, PRICES),
        "lgb.txt": lightgbm.train({"verbose": -1}, lightgbm.Dataset(HOMES, PRICES), 5),
    }


def save_with_mlflow(folder: Path) -> None:
    """A model of scikit-learn, whose requirements name MLflow, which is not here.

    And a python_function with a loader of its own, which needs a package that only its requirements have.
    """
    save(folder / "of_mlflow", "sklearn", {"pickled_model": "model.pkl"}, {"size": "double", "age": "double"})
    joblib.dump(LINE, folder / "of_mlflow" / "model.pkl")
    about = {"loader_module": "doubling", "code": "code"}
    save(
        folder / "pyfunc", "python_function", about, {"size": "double"}, "--no-index\n./twofold-1.0-py3-none-any.whl\n"
    )
    assert (
        wheel(folder / "pyfunc", "twofold", "1.0", "FACTOR = 2\n") in (folder / "pyfunc/requirements.txt").read_text()
    )
    (folder / "pyfunc" / "code").mkdir()
    (folder / "pyfunc" / "code" / "doubling.py").write_text(
        "import twofold\n"
        "class Doubling:\n"
        "    def predict(self, frame):\n"
        "        return frame['size'] * twofold.FACTOR\n"
        "def _load_pyfunc(path):\n"
        "    return Doubling()\n"
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Tandem]:
    tandem = Tandem(tmp_path, python_workers=2)
    yield tandem
    assert tandem.stop() == 0


def test_models_in_their_libraries_own_formats_are_served_side_by_side(server: Tandem) -> None:
    models = fitted()
    server.start()
    for name, model in models.items():
        model.save_model(server.python_models / name)
    (server.python_models / "notes.txt").write_text("the trees are those of March")
    save_with_mlflow(server.python_models)
    rows = HOMES.head(4)
    for name, model in models.items():
        stem = Path(name).stem
        eventually(lambda stem=stem: server.version(stem, "ready"), READY_S)
        reply = server.score(stem, {"rows": rows.to_dict(orient="records")})
        assert reply.json()["predictions"] == model.predict(rows).tolist(), name
    assert server.model("notes") == {}
    for name, expected in (("of_mlflow", LINE.predict(rows).tolist()), ("pyfunc", (rows["size"] * 2).tolist())):
        eventually(lambda name=name: server.version(name, "ready"), READY_S)
        reply = server.score(name, {"rows": rows.to_dict(orient="records")})
        assert reply.json()["predictions"] == expected, reply.text
