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
import pandas as pd
import pytest
import skops.io
import xgboost
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from server.catalog import mlmodel
from server.workers.runtime import LoadFailed
from tests.mlflow_folders import save, signature_of
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
    given = {"signature": about.inputs, "settings": about.settings, "example": mlmodel.example_row(path)}
    return serve(path.parent / about.file, **given, **more)


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


def pyfunc(folder: Path, columns: Any, **about: Any) -> Path:
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "doubled_loader.py").write_text(LOADER)
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "words.txt").write_text("hello")
    given = {"loader_module": "doubled_loader", "data": "artifacts", "code": "code", **about}
    return save(folder, mlmodel.PYFUNC, given, columns)


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


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize(
    ("columns", "more", "code", "cure"),
    [
        ((), {}, "no_schema", "infer_signature"),
        ({"age": "array"}, {}, "unsupported_input", "type array.*score.py"),
        (
            [{"type": "tensor", "name": "x", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}],
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
