"""Models of LightGBM, XGBoost, CatBoost and category_encoders: what they know of pandas' columns, and the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import catboost
import category_encoders
import lightgbm
import numpy as np
import orjson
import pandas as pd
import pytest
import xgboost
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from server.workers.errors import LoadFailed
from tests.server.workers.python.conftest import Serve

ROWS = 200
CHANCE = np.random.default_rng(1)
PEOPLE = pd.DataFrame(
    {
        "age": CHANCE.integers(18, 80, ROWS),
        "plan": pd.Categorical(CHANCE.choice(["x", "z", "y"], ROWS), categories=["z", "x", "y"]),
        "vip": CHANCE.random(ROWS) > 0.5,
        "code": pd.Categorical(CHANCE.choice([30, 10, 20], ROWS)),
    }
)
STAYS = (PEOPLE["age"] + 9 * PEOPLE["vip"] + 5 * (PEOPLE["plan"] == "x") > 50).astype(int)
TEXTS = PEOPLE.assign(plan=PEOPLE["plan"].astype(str), code=PEOPLE["code"].astype(str))


def as_sent(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """As DataFrame.to_json() writes it."""
    found: list[dict[str, Any]] = orjson.loads(frame.to_json(orient="records"))
    return found


def of_lightgbm() -> Any:
    return lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1)


def of_xgboost() -> Any:
    return xgboost.XGBClassifier(n_estimators=5, enable_categorical=True, tree_method="hist", n_jobs=1)


def of_catboost(**more: Any) -> Any:
    return catboost.CatBoostClassifier(iterations=5, verbose=0, thread_count=1, allow_writing_files=False, **more)


@pytest.mark.parametrize("make", [of_lightgbm, of_xgboost])
def test_categories_of_pandas_are_found_in_the_model(make: Callable[[], Any], serve: Serve) -> None:
    model = make().fit(PEOPLE, STAYS)
    served = serve(model)
    assert served.inputs()["plan"]["type"] == "factor"
    assert served.inputs()["plan"]["levels"] == ["z", "x", "y"]
    assert served.inputs()["code"]["allowed"] == [10, 20, 30]
    assert served.values(as_sent(PEOPLE), "prob") == model.predict_proba(PEOPLE).tolist()
    assert served.description.rowwise, served.description.batch_reason


@pytest.mark.parametrize("make", [of_lightgbm, of_xgboost])
def test_a_missing_category_is_a_missing_value(make: Callable[[], Any], serve: Serve) -> None:
    model = make().fit(PEOPLE, STAYS)
    frame = PEOPLE.head(4).copy()
    frame.loc[0, "plan"] = None
    frame.loc[1, "code"] = None
    assert serve(model).values(as_sent(frame), "prob") == model.predict_proba(frame).tolist()


def test_flags_are_found_in_a_model_of_xgboost(serve: Serve) -> None:
    assert serve(of_xgboost().fit(PEOPLE, STAYS)).inputs()["vip"]["type"] == "logical"


def test_a_booster_of_lightgbm_alone_knows_its_categories_too(serve: Serve) -> None:
    booster = of_lightgbm().fit(PEOPLE, STAYS).booster_
    served = serve(booster)
    assert served.values(as_sent(PEOPLE)) == booster.predict(PEOPLE).tolist()


def test_text_columns_are_found_in_a_model_of_catboost(serve: Serve) -> None:
    model = of_catboost(cat_features=["plan", "code"]).fit(TEXTS, STAYS)
    served = serve(model)
    assert {name: i["type"] for name, i in served.inputs().items()} == {
        "age": "numeric", "plan": "string", "vip": "numeric", "code": "string"
    }  # fmt: skip
    assert served.values(as_sent(TEXTS), "prob") == model.predict_proba(TEXTS).tolist()


def test_a_model_of_catboost_that_was_fitted_on_an_array_has_numbered_columns(serve: Serve) -> None:
    numbers = PEOPLE[["age", "vip"]].to_numpy(float)
    model = of_catboost().fit(numbers, STAYS)
    served = serve(model)
    assert list(served.inputs()) == ["x0", "x1"]
    asked = [{"x0": a, "x1": b} for a, b in numbers.tolist()]
    assert served.values(asked, "prob") == model.predict_proba(numbers).tolist()


@pytest.mark.parametrize("make", [of_lightgbm, of_xgboost])
def test_wrappers_without_categories_are_served_as_they_are(make: Callable[[], Any], serve: Serve) -> None:
    frame = PEOPLE[["age", "vip"]]
    for x in (frame, frame.to_numpy(float)):
        model = make().fit(x, STAYS)
        served = serve(model)
        asked = [dict(zip(served.inputs(), row, strict=True)) for row in frame.itertuples(index=False)]
        given = [{k: v if isinstance(v, bool) else int(v) for k, v in row.items()} for row in asked]
        assert served.values(given, "prob") == model.predict_proba(x).tolist()


ENCODERS = [
    category_encoders.TargetEncoder,
    category_encoders.OrdinalEncoder,
    category_encoders.OneHotEncoder,
    category_encoders.CatBoostEncoder,
    category_encoders.HashingEncoder,
]


@pytest.mark.filterwarnings("ignore")  # category_encoders is not up to pandas 3
@pytest.mark.parametrize("encoder", ENCODERS)
def test_text_columns_of_category_encoders_are_found(encoder: Any, serve: Serve) -> None:
    frame = TEXTS[["age", "plan"]].assign(age=TEXTS["age"].astype(float))
    model = make_pipeline(encoder(cols=["plan"]), LogisticRegression(max_iter=500)).fit(frame, STAYS)
    served = serve(model)
    assert {name: i["type"] for name, i in served.inputs().items()} == {"age": "numeric", "plan": "string"}
    assert served.values(as_sent(frame), "prob") == model.predict_proba(frame).tolist()


@pytest.mark.filterwarnings("ignore")
def test_an_encoder_that_refuses_what_it_does_not_know_has_levels(serve: Serve) -> None:
    frame = TEXTS[["age", "plan"]]
    encoder = category_encoders.OrdinalEncoder(cols=["plan"], handle_unknown="error")
    served = serve(make_pipeline(encoder, LogisticRegression(max_iter=500)).fit(frame, STAYS))
    assert sorted(served.inputs()["plan"]["levels"]) == ["x", "y", "z"]


def test_a_factor_in_the_sidecar_arrives_as_a_category(serve: Serve) -> None:
    frame = PEOPLE[["age", "plan"]]
    model = HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype").fit(frame, STAYS)
    served = serve(model, inputs=[{"name": "plan", "type": "factor", "levels": ["z", "x", "y"]}])
    assert served.values(as_sent(frame), "prob") == model.predict_proba(frame).tolist()


def test_categories_that_a_model_does_not_keep_are_asked_for(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with XGBoost before 3.1, which knows that a column is a category and not of what."""
    monkeypatch.delattr(xgboost.Booster, "get_categories")
    model = of_xgboost().fit(PEOPLE[["age", "plan"]], STAYS)
    with pytest.raises(LoadFailed, match="does not keep the categories of 'plan'") as refused:
        serve(model)
    assert refused.value.code == "no_schema"
    assert "- {name: plan, type: factor, levels: [...]}" in str(refused.value)
