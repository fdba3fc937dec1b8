"""Every family of estimators answers, bit for bit, what the library called directly on the same rows answers."""

from __future__ import annotations

import pickle
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from server.workers.errors import LoadFailed
from tests.server.workers.python.conftest import Serve, Served

IRIS, SPECIES = load_iris(return_X_y=True)
DIABETES, PROGRESS = load_diabetes(return_X_y=True)
DIGITS, DIGIT = load_digits(return_X_y=True)
METHODS = {
    "response": "predict",
    "class": "predict",
    "prob": "predict_proba",
    "decision": "decision_function",
    "score": "score_samples",
    "transform": "transform",
}
SIZES = (1, 1, 3, 1, 8, 1, 2, 17, 1, 1)
"""Rows of requests that arrive together."""

BATCHED: dict[str, tuple[Any, Any, Any]] = {
    "logistic": (LogisticRegression(max_iter=500), IRIS, SPECIES),
    "logistic of two classes": (LogisticRegression(), IRIS[:100], SPECIES[:100]),
    "logistic of strings": (LogisticRegression(max_iter=500), IRIS, np.array(["a", "b", "c"])[SPECIES]),
    "logistic of booleans": (LogisticRegression(max_iter=500), IRIS, SPECIES == 2),
    "logistic of floats": (LogisticRegression(max_iter=500), IRIS, SPECIES.astype(float)),
    "scaled logistic": (make_pipeline(StandardScaler(), LogisticRegression()), IRIS, SPECIES),
    "logistic of 64 inputs": (make_pipeline(MinMaxScaler(), LogisticRegression()), DIGITS[:300], DIGIT[:300]),
    "linear": (LinearRegression(), DIABETES, PROGRESS),
    "linear of several outputs": (LinearRegression(), DIABETES, np.c_[PROGRESS, PROGRESS**2]),
    "polynomial ridge": (make_pipeline(PolynomialFeatures(2), Ridge()), DIABETES, PROGRESS),
    "elastic net": (ElasticNet(), DIABETES, PROGRESS),
    "poisson": (PoissonRegressor(), DIABETES, PROGRESS),
    "ridge classifier": (RidgeClassifier(), IRIS, SPECIES),
    "sgd": (SGDClassifier(random_state=0), IRIS, SPECIES),
    "forest": (RandomForestClassifier(15, random_state=0, n_jobs=-1), IRIS, SPECIES),
    "forest regression": (RandomForestRegressor(15, random_state=0), DIABETES, PROGRESS),
    "gradient boosting": (GradientBoostingClassifier(n_estimators=5), IRIS, SPECIES),
    "histogram boosting": (HistGradientBoostingClassifier(max_iter=5), IRIS, SPECIES),
    "histogram boosting regression": (HistGradientBoostingRegressor(max_iter=5), DIABETES, PROGRESS),
    "tree": (DecisionTreeClassifier(random_state=0), IRIS, SPECIES),
    "svc": (SVC(), IRIS, SPECIES),
    "svr": (SVR(), DIABETES, PROGRESS),
    "linear svc": (LinearSVC(), IRIS, SPECIES),
    "neighbours": (KNeighborsClassifier(), IRIS, SPECIES),
    "network": (MLPClassifier((12,), max_iter=1000, tol=0.01, random_state=0), IRIS, SPECIES),
    "naive bayes": (GaussianNB(), IRIS, SPECIES),
    "discriminants": (LinearDiscriminantAnalysis(), IRIS, SPECIES),
    "gaussian process": (GaussianProcessRegressor(optimizer=None), DIABETES[:50], PROGRESS[:50]),
    "partial least squares": (PLSRegression(2), DIABETES, PROGRESS),
    "principal components": (PCA(2), IRIS, None),
    "singular values": (TruncatedSVD(2, random_state=0), IRIS, None),
    "scaler": (StandardScaler(), IRIS, None),
    "isolation forest": (IsolationForest(n_estimators=10, random_state=0), IRIS, None),
    "one class": (OneClassSVM(), IRIS, None),
    "calibrated": (CalibratedClassifierCV(LinearSVC(), cv=2), IRIS, SPECIES),
    "voting": (
        VotingClassifier([("l", LogisticRegression(max_iter=500)), ("t", DecisionTreeClassifier())], voting="soft"),
        IRIS,
        SPECIES,
    ),
    "stacking": (StackingClassifier([("t", DecisionTreeClassifier(random_state=0))], cv=2), IRIS, SPECIES),
    "bagging": (BaggingClassifier(LogisticRegression(max_iter=500), 3, random_state=0), IRIS, SPECIES),
    "search": (GridSearchCV(Ridge(), {"alpha": [0.1, 1]}, cv=2), DIABETES, PROGRESS),
    "several labels": (
        MultiOutputClassifier(LogisticRegression(max_iter=500)),
        IRIS,
        np.c_[SPECIES, (SPECIES > 0).astype(int)],
    ),
}
SINGLE: dict[str, tuple[Any, Any, Any]] = {
    "clusters": (KMeans(3, n_init=2, random_state=0), IRIS, None),
    "quadratic discriminants": (QuadraticDiscriminantAnalysis(), IRIS, SPECIES),
    "mixture": (GaussianMixture(2, random_state=0), IRIS, None),
}
"""Multiplied in ways that cannot be told apart by request: these are called request by request."""


def fitted(which: tuple[Any, Any, Any], as_frame: bool) -> tuple[Any, Any]:
    model, x, y = which
    if as_frame:
        x = pd.DataFrame({f"c {i}": x[:, i] for i in range(x.shape[1])})
    model = model.fit(x, y) if y is not None else model.fit(x)
    return pickle.loads(pickle.dumps(model)), x  # a file may hold a matrix laid out another way


def plain(answer: Any) -> list[Any]:
    """A library's answer as JSON data."""
    if isinstance(answer, list):
        answer = np.hstack(answer)
    if answer.ndim == 2 and answer.shape[1] == 1:
        answer = answer[:, 0]
    values: list[Any] = answer.tolist()
    return values


def directly(model: Any, x: Any, output: str) -> list[Any]:
    return plain(getattr(model, METHODS[output])(x))


def requests_of(x: Any, sizes: tuple[int, ...]) -> list[Any]:
    """Slices of rows, as arrays of their own, laid out as `numpy.array(rows)` or `pandas.DataFrame(rows)` would."""
    random = np.random.default_rng(0)
    found = []
    for size in sizes:
        rows = random.integers(0, len(x), size)
        if isinstance(x, pd.DataFrame):
            picked = x.iloc[rows]
            found.append(pd.DataFrame({name: picked[name].to_numpy() for name in x.columns}))
        else:
            found.append(np.array(x[rows]))
    return found


def rows_of(x: Any, served: Served) -> list[dict[str, Any]]:
    values = x.to_numpy() if isinstance(x, pd.DataFrame) else x
    return [dict(zip(served.inputs(), row, strict=True)) for row in values.tolist()]


def compare(serve: Serve, which: tuple[Any, Any, Any], as_frame: bool, batched: bool) -> None:
    model, x = fitted(which, as_frame)
    served = serve(model)
    assert served.description.rowwise == batched, served.description.batch_reason
    if getattr(model, "n_jobs", None):
        model.n_jobs = 1  # more threads add up the trees in any order
    requests = requests_of(x, SIZES)
    for output in served.outputs():
        documents = served.documents([rows_of(r, served) for r in requests], output)
        for request, document in zip(requests, documents, strict=True):
            given = [[*p.values()] if isinstance(p, dict) else p for p in document["predictions"]]
            assert given == directly(model, request, output), output
            assert "warnings" not in document


@pytest.mark.parametrize("name", BATCHED)
@pytest.mark.parametrize("as_frame", [False, True], ids=["array", "frame"])
def test_requests_that_are_predicted_together_get_what_the_library_gives_each_alone(
    name: str, as_frame: bool, serve: Serve
) -> None:
    compare(serve, BATCHED[name], as_frame, batched=True)


@pytest.mark.parametrize("name", SINGLE)
def test_what_cannot_be_joined_exactly_is_not_joined(name: str, serve: Serve) -> None:
    compare(serve, SINGLE[name], as_frame=False, batched=False)


@pytest.mark.parametrize(
    ("name", "type", "kind"),
    [
        ("logistic", "integer", int),
        ("logistic of strings", "label", str),
        ("logistic of booleans", "logical", bool),
        ("logistic of floats", "number", float),
    ],
)
def test_labels_keep_their_type(name: str, type: str, kind: type, serve: Serve) -> None:
    model, x = fitted(BATCHED[name], as_frame=False)
    served = serve(model)
    assert served.outputs()["class"]["type"] == type
    assert {*map(lambda v: v.__class__, served.ask(rows_of(x[::30], served)))} == {kind}
    assert served.outputs()["prob"]["columns"] == [str(c) for c in model.classes_]


def test_labels_beyond_32_bits_are_answered_whole(serve: Serve) -> None:
    served = serve(DecisionTreeClassifier().fit([[0.0], [1.0]], [10**12, 3]))
    assert served.ask([{"x0": 0}, {"x0": 1}]) == [10**12, 3]


def test_columns_are_named_as_the_library_names_them(serve: Serve) -> None:
    assert serve(PCA(2).fit(IRIS)).outputs()["transform"]["columns"] == ["pca0", "pca1"]
    frame = pd.DataFrame(IRIS, columns=["a", "b", "c", "d"])
    assert serve(StandardScaler().fit(frame)).outputs()["transform"]["columns"] == ["a", "b", "c", "d"]
    several = MultiOutputClassifier(DecisionTreeClassifier()).fit(IRIS, np.c_[SPECIES, SPECIES > 0])
    outputs = serve(several).outputs()
    assert outputs["class"]["columns"] == ["y0", "y1"]
    assert outputs["prob"]["columns"] == ["y0.0", "y0.1", "y0.2", "y1.0", "y1.1"]


def test_several_text_labels_a_row_are_answered_as_text(serve: Serve) -> None:
    labels = np.array([["low", "red"], ["high", "blue"]])
    served = serve(MultiOutputClassifier(DecisionTreeClassifier()).fit([[0.0], [1.0]], labels))
    assert served.ask([{"x0": 1}]) == [{"y0": "high", "y1": "blue"}]
    assert served.outputs()["class"]["type"] == "object"


def test_what_a_model_bears_may_be_missing(serve: Serve) -> None:
    assert all(i["na"] for i in serve(RandomForestClassifier(3).fit(IRIS, SPECIES)).inputs().values())
    refusing = serve(LogisticRegression(max_iter=500).fit(IRIS, SPECIES))
    assert not any(i["na"] for i in refusing.inputs().values())
    [document] = refusing.documents([[{"x0": None, "x1": 1, "x2": 1, "x3": 1}]])
    assert document["errors"][0]["column"] == "x0"
    [document] = refusing.documents([[{"x0": "Inf", "x1": 1, "x2": 1, "x3": 1}]])
    assert "missing or infinite" in document["detail"]
    forest = RandomForestClassifier(3, random_state=0).fit(IRIS, SPECIES)
    served = serve(forest)
    rows = [[np.nan, 3.0, 4.0, np.nan]]
    assert served.ask([{"x0": None, "x1": 3, "x2": 4, "x3": "NaN"}], "class") == forest.predict(rows).tolist()


class Doubler:
    """Looks like an estimator and is none."""

    n_features_in_ = 2

    def __init__(self, worry: bool = False) -> None:
        self.worry = worry

    def predict(self, x: Any) -> Any:
        if (x < 0).any():
            raise RuntimeError("I take no negative numbers")
        if self.worry:
            for _ in range(3):
                warnings.warn("I worry", stacklevel=1)
            warnings.warn("old", DeprecationWarning, stacklevel=1)
        return x.sum(axis=1) * 2


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    import sys
    import types

    module = types.ModuleType("doubling")
    module.Doubler = Doubler  # type: ignore[attr-defined]
    monkeypatch.setattr(Doubler, "__module__", "doubling")
    monkeypatch.setitem(sys.modules, "doubling", module)
    return lambda: None


def test_whatever_has_predict_is_served(importable: object, serve: Serve) -> None:
    served = serve(Doubler())
    assert served.ask([{"x0": 1, "x1": 2}, {"x0": 1.5, "x1": 0}]) == [6, 3]
    assert served.description.package == "doubling"
    [document] = served.documents([[{"x0": -1, "x1": 2}]])
    assert document["model_message"] == "I take no negative numbers"


def test_what_a_model_warns_of_reaches_the_caller_once(importable: object, serve: Serve) -> None:
    served = serve(Doubler(worry=True))
    [document] = served.documents([[{"x0": 1, "x1": 2}]])
    assert (document["predictions"], document["warnings"]) == ([6], ["I worry"])


class OneRow:
    """Written with a single row in mind: it fails for two, or answers only once."""

    n_features_in_ = 1

    def __init__(self, fails: bool) -> None:
        self.fails = fails

    def predict(self, rows: Any) -> Any:
        if self.fails:
            return [1.0 if rows[:, 0] > 1 else 0.0]
        return np.array([1.0])


@pytest.mark.parametrize("fails", [True, False])
def test_a_model_that_answers_one_row_but_not_two_is_refused(serve: Serve, fails: bool) -> None:
    with pytest.raises(LoadFailed, match="answers one row but not two: ") as refused:
        serve(OneRow(fails))
    assert refused.value.code == "predict_fails"


class Slow:
    """Computes for a while at each call."""

    n_features_in_ = 1

    def predict(self, rows: Any) -> Any:
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass
        return rows[:, 0]


def test_a_model_too_slow_to_be_proven_is_served_without_joining_requests(serve: Serve) -> None:
    served = serve(Slow(), load_timeout_s=1.0)
    assert not served.description.rowwise
    assert served.description.batch_reason.endswith("s: too slow to prove more")
    assert served.ask([{"x0": 1}, {"x0": 2}]) == [1, 2]
    assert serve(Slow()).description.rowwise


def test_a_model_of_thousands_of_columns_that_refuses_missing_values_is_described_in_time(serve: Serve) -> None:
    model = LogisticRegression().fit(np.eye(2, 3000), ["a", "b"])
    started = time.process_time()
    assert not any(i["na"] for i in serve(model).inputs().values())
    assert time.process_time() - started < 30
