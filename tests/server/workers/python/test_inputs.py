"""What a model file tells of its inputs: names, texts, categories, what may be missing; the sidecar says the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from server.workers.errors import LoadFailed
from tests.server.workers.python.conftest import Serve, Served

PEOPLE = pd.DataFrame(
    {
        "age": [21.0, 35.0, 50.0, 64.0, 40.0, 33.0],
        "region": ["north", "south", "north", "east", "south", "east"],
        "size": ["s", "m", "l", "m", "s", "l"],
        "shoe": [38, 40, 42, 38, 40, 42],
        "note": ["good client", "bad debt", "good debt", "new client", "bad", "good"],
        "unused": [1, 2, 3, 4, 5, 6],
    }
)
BOUGHT = [0, 1, 0, 1, 1, 0]
TEXTS = ["how do I reset my password", "what does it cost", "the server is slow", "reset the server"]


def columns(**more: Any) -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("number", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
            ("region", OneHotEncoder(**more), ["region"]),
            ("size", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(**more)), ["size"]),
            ("shoe", OrdinalEncoder(), ["shoe"]),
            ("note", TfidfVectorizer(), "note"),
        ]
    )


@pytest.fixture(scope="module")
def people(serve: Serve) -> tuple[Served, Any]:
    model = make_pipeline(columns(), LogisticRegression()).fit(PEOPLE, BOUGHT)
    return serve(model), model


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = frame.to_dict("records")
    return found


def test_columns_are_what_their_transformers_make_of_them(people: tuple[Served, Any]) -> None:
    inputs = people[0].inputs()
    assert list(inputs) == ["age", "region", "size", "shoe", "note"]
    assert [i["type"] for i in inputs.values()] == ["numeric", "string", "string", "numeric", "string"]
    assert inputs["region"]["levels"] == ["east", "north", "south"]
    assert inputs["size"]["levels"] == ["l", "m", "s"]
    assert inputs["shoe"]["allowed"] == [38, 40, 42]
    assert {name: i["na"] for name, i in inputs.items()} == {
        "age": True, "region": False, "size": True, "shoe": False, "note": False
    }  # fmt: skip


def test_a_mixed_frame_is_answered_as_the_library_does(people: tuple[Served, Any]) -> None:
    served, model = people
    assert served.description.rowwise, served.description.batch_reason
    requests = [PEOPLE.iloc[[0]], PEOPLE.iloc[1:4], PEOPLE.iloc[[5]], PEOPLE.iloc[[2]]]
    for output in ("class", "prob", "decision"):
        method = getattr(model, {"class": "predict", "prob": "predict_proba"}.get(output, "decision_function"))
        for frame, document in zip(requests, served.documents([rows(r) for r in requests], output), strict=True):
            given = [[*p.values()] if isinstance(p, dict) else p for p in document["predictions"]]
            assert given == method(frame).tolist()


def test_missing_cells_are_answered_as_in_a_frame(people: tuple[Served, Any]) -> None:
    served, model = people
    frame = PEOPLE.iloc[[0, 1]].copy()
    frame["age"] = [np.nan, 30.0]
    frame["size"] = pd.array([None, "m"], dtype="str")
    asked = [r | {"age": a, "size": s} for r, a, s in zip(rows(frame), (None, 30.0), (None, "m"), strict=True)]
    assert served.values(asked, "prob") == model.predict_proba(frame).tolist()


@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_a_category_that_the_encoder_bears_is_no_fault(serve: Serve) -> None:
    encoder = OneHotEncoder(handle_unknown="ignore", drop="first")
    bearing = ColumnTransformer([("r", encoder, ["region"])], remainder="passthrough")
    model = make_pipeline(bearing, LinearRegression()).fit(PEOPLE[["age", "region"]], BOUGHT)
    served = serve(model)
    assert "levels" not in served.inputs()["region"]
    known, unknown = served.documents([[{"age": 30, "region": "north"}], [{"age": 30, "region": "west"}]])
    assert unknown["predictions"] == model.predict(pd.DataFrame({"age": [30.0], "region": ["west"]})).tolist()
    assert "Found unknown categories" in unknown["warnings"][0]
    assert "warnings" not in known


def test_an_unknown_category_that_no_schema_names_is_the_callers_fault(serve: Serve) -> None:
    model = make_pipeline(columns(), LogisticRegression()).fit(PEOPLE, BOUGHT)
    served = serve(model, inputs=[{"name": "region", "type": "string", "levels": ["north", "west"]}])
    row = rows(PEOPLE.iloc[[0]])[0]
    [document] = served.documents([[row | {"region": "west"}]])
    assert "not trained with" in document["detail"]
    assert "Found unknown categories" in document["model_message"]
    [document] = served.documents([[row | {"region": "south"}]])
    assert document["errors"][0]["expected"] == 'one of "north", "west"'


def test_columns_of_an_array_are_numbered_unless_the_sidecar_names_them(serve: Serve) -> None:
    x, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(x, y)
    assert list(serve(model).inputs()) == ["x0", "x1", "x2", "x3"]
    names = [{"name": n, "type": "numeric"} for n in "abcd"]
    served = serve(model, inputs=names)
    assert list(served.inputs()) == ["a", "b", "c", "d"]
    assert (
        served.values([dict(zip("abcd", x[70].tolist(), strict=True))], "prob")
        == model.predict_proba(x[70:71]).tolist()
    )


def test_an_encoder_on_an_array_of_texts_takes_texts(serve: Serve) -> None:
    table = PEOPLE[["region", "size"]].to_numpy(dtype=object)
    model = make_pipeline(OneHotEncoder(), RandomForestClassifier(3, random_state=0)).fit(table, BOUGHT)
    served = serve(model)
    assert [i["levels"] for i in served.inputs().values()] == [["east", "north", "south"], ["l", "m", "s"]]
    assert served.values([{"x0": "north", "x1": "l"}], "prob") == model.predict_proba([["north", "l"]]).tolist()


def test_categories_of_histogram_boosting_are_texts(serve: Serve) -> None:
    frame = pd.concat([PEOPLE[["age", "region"]]] * 20, ignore_index=True)
    frame["region"] = frame["region"].astype("category")
    model = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=2).fit(frame, BOUGHT * 20)
    served = serve(model)
    assert served.inputs()["region"]["type"] == "string"
    given = served.ask(rows(frame.iloc[:6]))
    assert given == model.predict(frame.iloc[:6]).tolist()
    assert len(set(given)) > 1


@pytest.mark.parametrize("vectorizer", [CountVectorizer(), TfidfVectorizer(), HashingVectorizer(n_features=64)])
def test_a_text_pipeline_takes_one_text(vectorizer: Any, serve: Serve) -> None:
    model = make_pipeline(vectorizer, LogisticRegression()).fit(TEXTS, ["a", "b", "c", "a"])
    served = serve(model)
    assert {n: (i["type"], i["na"]) for n, i in served.inputs().items()} == {"text": ("string", False)}
    assert served.description.rowwise, served.description.batch_reason
    asked = [[{"text": t}] for t in ("reset it", "", "cost of the server")]
    given = [[*d["predictions"][0].values()] for d in served.documents(asked, "prob")]
    assert given == [model.predict_proba([a[0]["text"]])[0].tolist() for a in asked]


def test_several_vectorizers_side_by_side_take_one_text_too(serve: Serve) -> None:
    union = FeatureUnion([("w", TfidfVectorizer()), ("c", CountVectorizer(analyzer="char"))])
    model = Pipeline([("f", union), ("m", LogisticRegression())]).fit(TEXTS, [0, 1, 0, 1])
    served = serve(model, inputs=[{"name": "question", "type": "string"}])
    assert served.values([{"question": "slow"}], "prob") == model.predict_proba(["slow"]).tolist()


def test_words_of_a_text_are_answered_as_columns(serve: Serve) -> None:
    model = CountVectorizer().fit(TEXTS)
    served = serve(model)
    assert served.values([{"text": "reset reset"}], "transform") == model.transform(["reset reset"]).toarray().tolist()


def test_a_model_that_tells_nothing_says_what_to_write(serve: Serve) -> None:
    with pytest.raises(LoadFailed, match="never fitted"):
        serve(_Plain())
    model = _Plain().fit([[1.0]])
    with pytest.raises(LoadFailed) as failed:
        serve(model)
    assert failed.value.code == "no_schema"
    assert "inputs:\n" in str(failed.value)
    served = serve(model, inputs=[{"name": "a", "type": "numeric"}])
    assert served.ask([{"a": 3}]) == [3]


class _Plain(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    def fit(self, x: Any, y: Any = None) -> _Plain:
        self.seen = len(x)  # not by a name that scikit-learn knows to come from fit()
        return self

    def predict(self, x: Any) -> Any:
        return np.asarray(x)[:, 0]


@pytest.mark.parametrize("as_frame", [True, False])
def test_true_and_false_are_one_and_zero_where_a_number_is_taken(as_frame: bool, serve: Serve) -> None:
    frame = pd.DataFrame({"vip": [True, False, True, False, True, True], "age": [21, 35, 50, 64, 40, 33]})
    model = LogisticRegression().fit(frame if as_frame else frame.to_numpy(float), BOUGHT)
    served = serve(model, inputs=[] if as_frame else [{"name": name} for name in frame])
    asked = frame.to_dict("records")
    assert served.values(asked, "prob") == model.predict_proba(frame if as_frame else frame.to_numpy(float)).tolist()
    assert served.ask([asked[0] | {"vip": 1}], "prob") == served.ask(asked[:1], "prob")


def test_a_frame_with_flags_is_answered_as_the_library_does(serve: Serve) -> None:
    frame = PEOPLE[["age", "region"]].assign(vip=[True, False, True, False, True, True])
    mixed = make_column_transformer((OneHotEncoder(), ["region"]), remainder="passthrough")
    model = make_pipeline(mixed, LogisticRegression()).fit(frame, BOUGHT)
    served = serve(model)
    assert served.inputs()["vip"]["type"] == "numeric"
    assert served.values(rows(frame), "prob") == model.predict_proba(frame).tolist()


def test_the_sidecar_corrects_types_for_a_frame(serve: Serve) -> None:
    frame = pd.DataFrame({"n": [1, 2, 3, 4], "yes": [True, False, True, False]})
    transformer = make_column_transformer((OrdinalEncoder(), ["yes"]), remainder="passthrough")
    model = make_pipeline(transformer, LinearRegression()).fit(frame, [1.0, 2.0, 4.0, 3.0])
    served = serve(model, inputs=[{"name": "n", "type": "integer", "na": False}])
    assert {n: i["type"] for n, i in served.inputs().items()} == {"n": "integer", "yes": "logical"}
    assert served.ask([{"n": 3, "yes": True}]) == model.predict(frame.iloc[[2]]).tolist()


def test_an_example_is_the_golden_row_or_a_usual_one(serve: Serve) -> None:
    x, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    assert serve(model).description.example["x0"] == pytest.approx(x[:, 0].mean(), rel=1e-4)
    row = {"x0": 5.1, "x1": 3.5, "x2": 1.4, "x3": 0.2}
    served = serve(model, golden=[{"row": row, "class": 0}])
    assert (served.description.example, served.description.example_prediction) == (row, 0)
    assert served.description.golden_rows == 1
    with pytest.raises(LoadFailed, match="expected class 2, the model answers 0"):
        serve(model, golden=[{"row": row, "class": 2}])
