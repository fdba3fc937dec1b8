"""XGBoost's, LightGBM's and CatBoost's own files: the same bits as their libraries give, and reasons for others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

from server.workers.errors import LoadFailed
from tests.server.workers.python.conftest import Serve

CHANCE = np.random.default_rng(2)
PEOPLE = pd.DataFrame(
    {"age": CHANCE.integers(18, 80, 100), "plan": pd.Categorical(CHANCE.choice(["z", "x"], 100), categories=["z", "x"])}
)
STAYS = (PEOPLE["age"] + 9 * (PEOPLE["plan"] == "x") > 50).astype(int)
TEXTS = PEOPLE.assign(plan=PEOPLE["plan"].astype(str))
ROWS: list[dict[str, Any]] = TEXTS.to_dict(orient="records")
SETTINGS = {"n_estimators": 5, "enable_categorical": True, "n_jobs": 1}


def of_catboost(kind: Any, **more: Any) -> Any:
    return kind(iterations=5, verbose=0, thread_count=1, allow_writing_files=False, cat_features=["plan"], **more)


@pytest.mark.parametrize("ending", ["json", "ubj", "JSON"])
def test_a_classifier_of_xgboost_is_one_again(ending: str, serve: Serve, tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(**SETTINGS).fit(PEOPLE, STAYS)
    model.save_model(tmp_path / f"m.{ending.lower()}")
    (tmp_path / f"m.{ending.lower()}").rename(tmp_path / f"m.{ending}")
    served = serve(tmp_path / f"m.{ending}")
    assert served.inputs()["plan"]["levels"] == ["z", "x"]
    assert list(served.outputs())[:2] == ["class", "prob"]
    assert served.values(ROWS) == model.predict(PEOPLE).tolist()
    assert served.values(ROWS, "prob") == model.predict_proba(PEOPLE).tolist()


def test_a_regressor_of_xgboost_is_one_again(serve: Serve, tmp_path: Path) -> None:
    model = xgboost.XGBRegressor(**SETTINGS).fit(PEOPLE, STAYS * 1.5)
    model.save_model(tmp_path / "m.ubj")
    served = serve(tmp_path / "m.ubj")
    assert served.description.package_version == xgboost.__version__
    assert list(served.outputs()) == ["response"]
    assert served.values(ROWS) == model.predict(PEOPLE).tolist()


@pytest.mark.parametrize(
    ("objective", "more"), [("binary:logistic", {}), ("multi:softprob", {"num_class": 2}), ("reg:squarederror", {})]
)
def test_a_booster_of_xgboost_answers_what_its_own_predict_does(
    objective: str, more: dict[str, Any], serve: Serve, tmp_path: Path
) -> None:
    rows = xgboost.DMatrix(PEOPLE, STAYS, enable_categorical=True)
    booster = xgboost.train({"objective": objective, "nthread": 1, **more}, rows, 5)
    booster.save_model(tmp_path / "m.json")
    assert serve(tmp_path / "m.json").values(ROWS) == booster.predict(rows).tolist()
    assert serve(booster).values(ROWS) == booster.predict(rows).tolist()  # pickled


@pytest.mark.parametrize("ending", ["xgb", "model", "bst"])
def test_other_endings_of_xgboost_are_told_by_what_is_in_the_file(ending: str, serve: Serve, tmp_path: Path) -> None:
    model = xgboost.XGBRegressor(**SETTINGS).fit(PEOPLE, STAYS * 1.5)
    model.save_model(tmp_path / "m.json")
    (tmp_path / "m.json").rename(tmp_path / f"m.{ending}")
    served = serve(tmp_path / f"m.{ending}")
    assert served.values(ROWS) == model.predict(PEOPLE).tolist()
    assert not served.description.load_warnings


@pytest.mark.parametrize("ending", ["txt", "lgb", "bst", "TXT"])
@pytest.mark.parametrize("more", [{"objective": "binary"}, {"objective": "multiclass", "num_class": 2}])
def test_a_text_of_lightgbm_answers_what_its_booster_does(
    ending: str, more: dict[str, Any], serve: Serve, tmp_path: Path
) -> None:
    rows = lightgbm.Dataset(PEOPLE, STAYS, free_raw_data=False)
    booster = lightgbm.train({"verbose": -1, "num_threads": 1, **more}, rows, 5)
    booster.save_model(tmp_path / f"m.{ending}")
    served = serve(tmp_path / f"m.{ending}")
    assert served.inputs()["plan"]["levels"] == ["z", "x"]
    assert list(served.outputs()) == ["response"]
    assert served.values(ROWS) == booster.predict(PEOPLE).tolist()
    assert served.description.package_version == lightgbm.__version__


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.8])
def test_half_a_text_of_lightgbm_is_refused(kept: float, serve: Serve, tmp_path: Path) -> None:
    booster = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(PEOPLE, STAYS), 5)
    text = booster.model_to_string()
    (tmp_path / "m.txt").write_text(text[: int(len(text) * kept)])
    with pytest.raises(LoadFailed, match=f"cut short, or it was written by .* lightgbm {lightgbm.__version__}"):
        serve(tmp_path / "m.txt")


def test_models_of_catboost_are_served_from_their_own_files(serve: Serve, tmp_path: Path) -> None:
    labels = np.where(STAYS, "stays", "goes")
    classifier = of_catboost(catboost.CatBoostClassifier).fit(TEXTS, labels)
    classifier.save_model(tmp_path / "c.cbm")
    served = serve(tmp_path / "c.cbm")
    assert served.inputs()["plan"]["type"] == "string"
    assert served.values(ROWS) == classifier.predict(TEXTS).tolist()
    assert served.values(ROWS, "prob") == classifier.predict_proba(TEXTS).tolist()
    counts = of_catboost(catboost.CatBoostRegressor, loss_function="Poisson").fit(TEXTS, STAYS)
    counts.save_model(tmp_path / "p.cbm")
    assert serve(tmp_path / "p.cbm").values(ROWS) == counts.predict(TEXTS).tolist()


@pytest.mark.parametrize(
    ("name", "content", "code", "cure"),
    [
        ("m.json", b'{"rows": [{"age": 1}]}', "not_served", "something else"),
        ("m.json", b"", "not_served", "something else"),
        ("m.ubj", b"\x00\x01", "not_served", "something else"),
        ("m.json", b'[\n  { "nodeid": 0, "depth": 0', "not_served", "write it with save_model"),
        ("m.json", b'{"features_info":{"float_features":[', "not_served", "NAME.cbm"),
        ("m.json", b'{"learner":{"attributes":{},"featu', "unreadable", "cut short"),
        ("m.ubj", b"{L\0\0\0\0\0\0\0\7learner{L", "unreadable", f"xgboost {xgboost.__version__}"),
        ("m.txt", b"trees of the park", "not_served", "LightGBM's save_model"),
        ("m.txt", b"tree\nversion=v4\nnum_cl", "unreadable", f"lightgbm {lightgbm.__version__}"),
        ("m.json", b'{"name": "tree", "version": "v4",', "not_served", "NAME.txt with save_model"),
        ("m.model", b"binf\0\0\0\x3f", "not_served", "old binary format"),
        ("m.cbm", b"CBM1", "unreadable", f"catboost {catboost.__version__}"),
    ],
)
def test_a_file_that_is_no_such_model_is_refused_with_a_cure(
    name: str, content: bytes, code: str, cure: str, serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LoadFailed, match=cure) as refused:
        serve(tmp_path / name)
    assert refused.value.code == code
    assert "/" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "package"),
    [
        ("m.json", b'{"learner":{', "xgboost"),
        ("m.cbm", b"CBM1", "catboost"),
        ("m.txt", b"tree\n", "lightgbm"),
    ],
)
def test_a_missing_package_is_named_with_how_to_install_it(
    name: str, content: bytes, package: str, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LoadFailed, match=f"pip install {package}") as refused:
        serve(tmp_path / name)
    assert refused.value.code == "package_missing"
