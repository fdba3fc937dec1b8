"""Models as MLflow saves them, without MLflow: the file of the flavour, the inputs of the signature."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import catboost
import joblib
import lightgbm
import numpy as np
import onnxruntime
import orjson
import pandas as pd
import pytest
import skops.io
import xgboost
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from server.catalog import mlmodel
from server.wire.frames import Member
from server.wire.models import RuntimeSettings
from server.workers.errors import LoadFailed
from server.workers.score import score
from tests.harness.mlflow_folders import save, signature_of
from tests.server.workers.python.conftest import Serve, Served

CHANCE = np.random.default_rng(4)
PEOPLE = pd.DataFrame(
    {"age": CHANCE.integers(18, 80, 100), "income": CHANCE.normal(size=100), "vip": CHANCE.random(100) > 0.5}
)
STAYS = (PEOPLE["age"] + 9 * PEOPLE["vip"] > 50).astype(int)
COLUMNS = {"age": "long", "income": "double", "vip": "boolean"}
ROWS: list[dict[str, Any]] = PEOPLE.head(5).to_dict(orient="records")
LOADER = """
import pandas

class Doubled:
    def __init__(self, text):
        self.text = text

    def predict(self, frame):
        kinds = [str(frame[name].dtype) for name in frame]
        return pandas.DataFrame({"twice": frame["age"] * 2, "kinds": ",".join(kinds), "text": self.text})

def _load_pyfunc(path):
    return Doubled(open(path + "/words.txt").read())
"""


def serve_folder(serve: Serve, path: Path, **more: Any) -> Served:
    about = mlmodel.at(path)
    assert about is not None and about.refused is None
    settings = RuntimeSettings.from_data(about.settings)
    example = mlmodel.example_row(path)
    return serve(path.parent / about.file, signature=about.inputs, settings=settings, example=example, **more)


def test_a_model_of_scikit_learn_has_the_signatures_types(serve: Serve, tmp_path: Path) -> None:
    model = LogisticRegression().fit(PEOPLE, STAYS)
    path = save(tmp_path, "sklearn", {"pickled_model": "model.pkl"}, COLUMNS)
    joblib.dump(model, tmp_path / "model.pkl")
    served = serve_folder(serve, path)
    assert {name: i["type"] for name, i in served.inputs().items()} == {
        "age": "numeric", "income": "numeric", "vip": "logical"
    }  # fmt: skip
    assert served.values(ROWS, "prob") == model.predict_proba(PEOPLE.head(5)).tolist()


def test_a_column_that_is_not_required_may_be_absent_if_the_model_bears_it(serve: Serve, tmp_path: Path) -> None:
    optional = {**COLUMNS, "income": ("double", False)}
    trees = HistGradientBoostingClassifier(max_iter=3).fit(PEOPLE, STAYS)
    path = save(tmp_path, "sklearn", {"pickled_model": "model.pkl"}, optional)
    joblib.dump(trees, tmp_path / "model.pkl")
    served = serve_folder(serve, path)
    assert served.inputs()["income"]["missing"] == "na"
    assert "missing" not in served.inputs()["age"]
    without = PEOPLE.head(5).assign(income=np.nan)
    sent = [{k: v for k, v in row.items() if k != "income"} for row in ROWS]
    assert served.values(sent) == trees.predict(without).tolist()
    joblib.dump(LogisticRegression().fit(PEOPLE, STAYS), tmp_path / "model.pkl")
    assert serve_folder(serve, path).inputs()["income"]["na"] is False


def test_what_the_model_knows_of_its_columns_is_more_than_the_signature(serve: Serve, tmp_path: Path) -> None:
    plans = PEOPLE.assign(plan=pd.Categorical(CHANCE.choice(["z", "x"], 100), categories=["z", "x"]))
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(plans, STAYS), 3)
    path = save(tmp_path, "lightgbm", {"data": "model.lgb"}, {**COLUMNS, "plan": "string"})
    booster.save_model(tmp_path / "model.lgb")
    served = serve_folder(serve, path)
    assert served.inputs()["plan"]["levels"] == ["z", "x"]
    sent = plans.assign(plan=plans["plan"].astype(str)).to_dict(orient="records")
    assert served.values(sent) == booster.predict(plans).tolist()


def test_the_authors_example_is_the_models_if_the_model_answers_it(serve: Serve, tmp_path: Path) -> None:
    path = save(tmp_path, "sklearn", {"pickled_model": "model.pkl"}, COLUMNS, example={**ROWS[1], "more": 1})
    joblib.dump(LogisticRegression().fit(PEOPLE, STAYS), tmp_path / "model.pkl")
    assert serve_folder(serve, path).description.example == ROWS[1]
    save(tmp_path, "sklearn", {"pickled_model": "model.pkl"}, COLUMNS, example={**ROWS[1], "age": "old"})
    assert serve_folder(serve, path).description.example["age"] != "old"


def test_a_model_of_an_array_gets_the_signatures_names(serve: Serve, tmp_path: Path) -> None:
    model = LogisticRegression().fit(PEOPLE.to_numpy(dtype=float), STAYS)
    path = save(tmp_path, "sklearn", {"pickled_model": "model.skops"}, {name: "double" for name in COLUMNS})
    skops.io.dump(model, tmp_path / "model.skops")
    served = serve_folder(serve, path)
    assert list(served.inputs()) == [*COLUMNS]
    assert served.values(ROWS) == model.predict(PEOPLE.head(5).to_numpy(dtype=float)).tolist()


def test_types_that_mlflow_trusts_in_a_skops_file_are_trusted(serve: Serve, tmp_path: Path) -> None:
    tree = DecisionTreeClassifier(max_depth=2).fit(PEOPLE, STAYS)
    skops.io.dump(tree, tmp_path / "model.skops")
    unknown = skops.io.get_untrusted_types(file=tmp_path / "model.skops")
    assert unknown
    path = save(tmp_path, "sklearn", {"pickled_model": "model.skops", "skops_trusted_types": unknown})
    assert serve_folder(serve, path).values(ROWS) == tree.predict(PEOPLE.head(5)).tolist()


def test_boosted_trees_are_served_from_mlflows_files(serve: Serve, tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(PEOPLE, STAYS)
    about = {"data": "model.ubj", "model_class": "xgboost.sklearn.XGBClassifier", "model_format": "ubj"}
    path = save(tmp_path / "x", "xgboost", about, COLUMNS)
    model.save_model(tmp_path / "x" / "model.ubj")
    assert serve_folder(serve, path).values(ROWS, "prob") == model.predict_proba(PEOPLE.head(5)).tolist()
    cat = catboost.CatBoostRegressor(iterations=3, verbose=0, thread_count=1, allow_writing_files=False)
    cat.fit(PEOPLE, STAYS)
    path = save(tmp_path / "c", "catboost", {"data": "model.cb"}, COLUMNS)
    cat.save_model(str(tmp_path / "c" / "model.cb"))
    assert serve_folder(serve, path).values(ROWS) == cat.predict(PEOPLE.head(5)).tolist()


def test_a_graph_gets_the_signatures_names(serve: Serve, tmp_path: Path) -> None:
    numbers = PEOPLE.to_numpy(dtype=np.float32)
    graph = to_onnx(LogisticRegression().fit(numbers, STAYS), numbers[:1], options={"zipmap": False})
    path = save(tmp_path, "onnx", {"data": "model.onnx"}, {name: "float" for name in COLUMNS})
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    expected = session.run(["probabilities"], {"X": numbers[:5]})[0]
    served = serve_folder(serve, path)
    assert list(served.inputs()) == [*COLUMNS]
    assert served.values(ROWS, "prob") == expected.astype(float).tolist()


def test_modules_beside_the_model_are_found(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "m" / "code"
    code.mkdir(parents=True)
    (code / "halving.py").write_text(
        "from sklearn.base import BaseEstimator\n"
        "class Halving(BaseEstimator):\n"
        "    n_features_in_ = 1\n"
        "    def predict(self, X):\n"
        "        return X[:, 0] / 2\n"
    )
    monkeypatch.setattr(sys, "path", [str(code), *sys.path])
    import halving  # type: ignore[import-not-found]

    path = save(tmp_path / "m", "sklearn", {"pickled_model": "model.pkl", "code": "code"}, {"size": "double"})
    joblib.dump(halving.Halving(), tmp_path / "m" / "model.pkl")
    del sys.modules["halving"]
    monkeypatch.setattr(sys, "path", sys.path[1:])
    assert serve_folder(serve, path).ask([{"size": 3}]) == [1.5]
    del sys.modules["halving"]


def pyfunc(folder: Path, columns: Any, loader: str = LOADER, params: Any = (), **about: Any) -> Path:
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "doubled_loader.py").write_text(loader)
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "words.txt").write_text("hello")
    given = {"loader_module": "doubled_loader", "data": "artifacts", "code": "code", **about}
    return save(folder, mlmodel.PYFUNC, given, columns, params=params)


@pytest.fixture
def own_modules(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("doubled_loader", None)


@pytest.mark.usefixtures("own_modules")
def test_a_python_function_takes_the_signatures_columns_and_its_frame_is_the_answer(
    serve: Serve, tmp_path: Path
) -> None:
    columns = {"age": "long", "rate": "float", "vip": "boolean", "name": "string", "n": "integer"}
    served = serve_folder(serve, pyfunc(tmp_path / "m", columns))
    assert [i["type"] for i in served.inputs().values()] == ["numeric", "numeric", "logical", "string", "integer"]
    row = {"age": 7, "rate": 0.5, "vip": True, "name": "Ann", "n": 2}
    [answer] = served.ask([row])
    assert answer == {"twice": 14, "kinds": "int64,float32,bool,str,int64", "text": "hello"}
    about = served.description
    assert about.loads_in_worker and "code of its own" in str(about.isolated)
    assert about.model_class == "MLflow python_function by doubled_loader"


def tensor(dtype: str, *shape: int, name: str | None = None) -> dict[str, Any]:
    named = {} if name is None else {"name": name}
    return {"type": "tensor", **named, "tensor-spec": {"dtype": dtype, "shape": [-1, *shape]}}


ARRAYS = """
import numpy

class Sums:
    def predict(self, given):
        parts = given if isinstance(given, dict) else {"alone": given}
        assert all(type(part) is numpy.ndarray for part in parts.values())
        sums = sum(part.reshape(len(part), -1).sum(axis=1).astype("float64") for part in parts.values())
        of_32_bits = sum(part.dtype == "float32" for part in parts.values())
        return sums + 10000 * of_32_bits + 1000 * (parts.keys() == {"a", "b"})

def _load_pyfunc(path):
    return Sums()
"""


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize(
    ("signature", "rows", "answers"),
    [
        ([tensor("float32", 2)], [{"input": [1, 2]}, {"input": [3, 4.5]}], [10003, 10007.5]),
        ([tensor("float64", 2, 2)], [{"input": [[1, 2], [3, 4]]}], [10]),
        ([tensor("int64", -1)], [{"input": [1, 2, 3]}, {"input": [4, 5, 6]}], [6, 15]),
        (
            [tensor("float64", 2, name="a"), tensor("float32", name="b")],
            [{"a": [1, 2], "b": 3}, {"a": [0, 0], "b": 0.5}],
            [11006, 11000.5],
        ),
    ],
)
def test_a_python_function_of_tensors_gets_arrays_as_mlflow_hands_them_over(
    signature: Any, rows: list[dict[str, Any]], answers: list[float], serve: Serve, tmp_path: Path
) -> None:
    served = serve_folder(serve, pyfunc(tmp_path / "m", signature, ARRAYS))
    assert served.ask(rows) == answers
    assert [served.ask([row])[0] for row in rows] == answers


PARAMS = [
    {"name": "factor", "type": "double", "default": 3.0, "shape": None},
    {"name": "label", "type": "string", "default": "x", "shape": None},
    {"name": "steps", "type": "long", "default": 4, "shape": None},
    {"name": "strict", "type": "boolean", "default": True, "shape": None},
    {"name": "weights", "type": "double", "default": [1.0, 2.0], "shape": [-1]},
    {"name": "since", "type": "datetime", "default": "2024-01-02T00:00:00", "shape": None},
]
TOLD = """
import json

class Told:
    def predict(self, frame, params=None):
        return [json.dumps(params, default=str)] * len(frame)

def _load_pyfunc(path):
    return Told()
"""


@pytest.mark.usefixtures("own_modules")
def test_parameters_of_a_signature_are_options_of_a_request(serve: Serve, tmp_path: Path) -> None:
    served = serve_folder(serve, pyfunc(tmp_path / "m", {"age": "double"}, TOLD, PARAMS))
    options = {o["name"]: (o["type"], o["default"]) for o in served.description.schema["options"]}
    assert options == {
        "factor": ("numeric", 3.0), "label": ("string", "x"), "steps": ("integer", 4), "strict": ("logical", True)
    }  # fmt: skip
    plain = {"factor": 3.0, "label": "x", "steps": 4, "strict": True, "weights": [1.0, 2.0]}
    plain["since"] = "2024-01-02T00:00:00"
    body = {"rows": [{"age": 1}]}
    for given in ({}, {"factor": 5, "strict": False}):
        [result] = score(served.model, [Member(orjson.dumps(body | {"options": given}))]).results
        [told] = orjson.loads(result.body)["predictions"]
        assert orjson.loads(told) == plain | given
    [result] = score(served.model, [Member(orjson.dumps(body | {"options": {"weights": 1}}))]).results
    assert b"an unknown option" in result.body


@pytest.mark.usefixtures("own_modules")
def test_parameters_that_predict_does_not_take_are_no_options(serve: Serve, tmp_path: Path) -> None:
    served = serve_folder(serve, pyfunc(tmp_path / "m", [tensor("float32", 2)], ARRAYS, PARAMS))
    assert "options" not in served.description.schema


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize(
    ("columns", "more", "code", "cure"),
    [
        ((), {}, "no_schema", "infer_signature"),
        ({"age": "array"}, {}, "unsupported_input", "type array.*score.py"),
        (
            [{"type": "tensor", "name": "x", "tensor-spec": {"dtype": "str", "shape": [-1, 3]}}],
            {},
            "unsupported_input",
            "type tensor",
        ),
        ({"age": "long"}, {"loader_module": "lost_package"}, "package_missing", "'lost_package'"),
        ({"age": "long"}, {"loader_module": "json"}, "missing_code", "_load_pyfunc"),
        ({"age": "long"}, {"data": None}, "unreadable", "words.txt"),
    ],
)
def test_a_python_function_that_cannot_be_served_is_told(
    columns: Any, more: dict[str, Any], code: str, cure: str, serve: Serve, tmp_path: Path
) -> None:
    with pytest.raises(LoadFailed, match=cure) as refused:
        serve_folder(serve, pyfunc(tmp_path / "m", columns, **more))
    assert refused.value.code == code
    assert str(tmp_path) not in str(refused.value)


def test_the_signature_is_written_as_mlflow_does() -> None:
    assert signature_of({"age": ("long", False)}) == [{"type": "long", "name": "age", "required": False}]
