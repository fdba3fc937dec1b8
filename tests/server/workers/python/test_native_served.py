"""XGBoost's, CatBoost's and LightGBM's own files side by side in one server: each answers with its library's bits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

from tests.conftest import Tandem, eventually

CHANCE = np.random.default_rng(3)
HOMES = pd.DataFrame(CHANCE.normal(size=(200, 2)), columns=["size", "age"])
PRICES = HOMES["size"] * 3 - HOMES["age"]
READY_S = 120


def fitted() -> dict[str, Any]:
    """The models by the files that they are saved as."""
    of_catboost = catboost.CatBoostRegressor(iterations=5, verbose=0, thread_count=1, allow_writing_files=False)
    return {
        "cat.cbm": of_catboost.fit(HOMES, PRICES),
        "xgb.ubj": xgboost.XGBRegressor(n_estimators=5, n_jobs=1).fit(HOMES, PRICES),
        "lgb.txt": lightgbm.train({"verbose": -1}, lightgbm.Dataset(HOMES, PRICES), 5),
    }


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Tandem]:
    tandem = Tandem(tmp_path, python_workers=2)
    yield tandem
    assert tandem.stop() == 0


def test_models_in_their_libraries_own_formats_are_served_side_by_side(server: Tandem) -> None:
    models = fitted()
    for name, model in models.items():
        model.save_model(server.python_models / name)
    (server.python_models / "notes.txt").write_text("the trees are those of March")
    server.start()
    rows = HOMES.head(4)
    for name, model in models.items():
        stem = Path(name).stem
        eventually(lambda stem=stem: server.version(stem, "ready"), READY_S)
        reply = server.score(stem, {"rows": rows.to_dict(orient="records")})
        assert reply.json()["predictions"] == model.predict(rows).tolist(), name
    assert server.model("notes") == {}
