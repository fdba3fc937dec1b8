"""The part of docs/models.md on Python. `python -m tests.server.workers.python.page` writes it, a test compares it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import catboost
import joblib
import lightgbm
import numpy as np
import pandas as pd
import xgboost
from category_encoders import TargetEncoder
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from server.catalog.files import PYTHON_FILES
from server.wire.models import ModelSpec
from server.workers.python import answers, reasons
from server.workers.python.runtime import PythonRuntime
from tests.oracle.table import PAGE, PYTHON
from tests.server.workers.python.test_estimators import BATCHED, SINGLE, fitted

FILES = {
    ".skops": "an estimator; reading it runs no code",
    ".joblib .pkl .pickle .sav": "an estimator, or any object with `predict`; packed too (`.gz .bz2 .xz .lzma .z`)",
    ".ubj .json .xgb .bst .model": "what XGBoost's `save_model` writes: classifier, regressor or ranker",
    ".txt .lgb": "LightGBM's `Booster.save_model`; a `.txt` is one if its first line is `tree`",
    ".cbm": "CatBoost's `save_model`",
    ".onnx": "a graph that takes rows of numbers or texts",
    ".pt2 .pt": "PyTorch: `torch.export.save`, TorchScript",
    "MLmodel": "a folder as MLflow saves it",
    "score.py": "a folder with a scoring script",
}

HEAD = """
What each estimator gives. For every one of scikit-learn in this table the tests compare every output of requests that
arrive together with what the library answers for the rows of each alone: the same bits. What a model's inputs are, what
may be missing and what a sidecar may say is in [python_models/README.md](../python_models/README.md).

- **outputs**: the first is the default; with several values a row, the reply has an object a row.
- **joined**: whether requests that arrive together are predicted in one call. It is proven for each model anew.

A `Pipeline` and a search have the outputs of their last step. Any other object with `predict` has the output
`response`, or `class` and `prob` if it has `classes_` or `predict_proba`; one with `transform` alone has `transform`.

| class | package | outputs | joined |
|---|---|---|---|
"""
TAIL = """
Graphs of ONNX answer `class` and `prob`, `response`, or by the graph's own names; programs of PyTorch `response`, or
`top`, `class` and `prob` with labels; MLflow's `python_function` `response`; scripts whatever they return.

What each kind of file holds:

"""


def part() -> str:
    """The text."""
    rows = sorted(set(_rows()), key=str.lower)
    unnamed = {ending for ending in PYTHON_FILES if ending.rfind(".") <= 0} - set(" ".join(FILES).split())
    assert not unnamed, f"the page does not name {unnamed}"
    files = [f"- {', '.join(f'`{e}`' for e in endings.split())}: {told}" for endings, told in FILES.items()]
    return PYTHON + HEAD + "\n".join(rows) + "\n" + TAIL + "\n".join(files) + "\n"


def _rows() -> Iterator[str]:
    for table, joined in ((BATCHED, True), (SINGLE, False)):
        for which in table.values():
            model, _ = fitted(which, as_frame=False)
            if not isinstance(model, Pipeline | GridSearchCV):
                yield _row(model, answers.methods(model), joined)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        for model in _boosted():
            joblib.dump(model, Path(folder) / "m.joblib")
            found = PythonRuntime().describe(ModelSpec("k", "m", "v", str(Path(folder) / "m.joblib")))
            yield _row(model, [output["name"] for output in found.schema["outputs"]], found.rowwise)


def _boosted() -> Iterator[Any]:
    rows, labels = load_iris(return_X_y=True)
    quiet: dict[str, Any] = {"verbose": 0, "iterations": 2, "thread_count": 1, "allow_writing_files": False}
    few: dict[str, Any] = {"n_estimators": 2, "n_jobs": 1}
    for model in (
        xgboost.XGBClassifier(**few),
        xgboost.XGBRegressor(**few),
        xgboost.XGBRFRegressor(**few),
        lightgbm.LGBMClassifier(**few, verbose=-1),
        lightgbm.LGBMRegressor(**few, verbose=-1),
        catboost.CatBoostClassifier(**quiet),
        catboost.CatBoostRegressor(**quiet),
    ):
        yield model.fit(rows, labels)
    yield xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, labels), 2)
    yield lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(rows, labels), 2)
    yield TargetEncoder().fit(pd.DataFrame({"plan": np.array(["a", "b", "c"])[labels]}), labels)


def _row(model: Any, outputs: Iterable[str], joined: bool) -> str:
    kind = type(model)
    package = reasons.distribution(kind.__module__.partition(".")[0])
    told = ", ".join(f"`{name}`" for name in outputs)
    return f"| `{kind.__name__}` | {package} | {told} | {'yes' if joined else 'no'} |"


def main() -> None:
    """Write the part, and leave the rest of the page."""
    PAGE.write_text(PAGE.read_text().partition(PYTHON)[0] + part())


if __name__ == "__main__":
    main()
