"""What a model can answer, and a library's answers as columns of predictions, each value as the library gave it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from sklearn.base import is_classifier, is_outlier_detector, is_regressor

from server.workers.predictions import Predicted, Predictions

Method = Callable[..., Any]
"""A function of the model that takes rows, and options where the model has any and the request names some."""

_METHODS = {
    "response": "predict",
    "class": "predict",
    "prob": "predict_proba",
    "decision": "decision_function",
    "score": "score_samples",
    "transform": "transform",
}
_DENSITIES = ("density_estimator", "DensityEstimator")
"""The names of scikit-learn's method for densities: from 1.6 on, and before."""
MAX_LEVELS = 10_000
"""The most classes of which a label output lists its levels."""


def methods(model: Any) -> dict[str, Method]:
    """The model's outputs, each with the function that answers it; the default comes first."""
    names = ["transform"]
    if hasattr(model, "predict"):
        regressor = _says(is_regressor, model) or not (_labels(model) or hasattr(model, "predict_proba"))
        detects = _says(is_outlier_detector, model)
        names = ["response" if regressor and not _groups(model) and not detects else "class", *names]
        names[1:1] = ["prob", "decision", *(["score"] if detects else [])]
    if _type(model) in _DENSITIES:
        names.append("score")
    return {name: getattr(model, _METHODS[name]) for name in names if hasattr(model, _METHODS[name])}


def _labels(model: Any) -> bool:
    return _says(is_classifier, model) or getattr(model, "classes_", None) is not None


def _groups(model: Any) -> bool:
    return _type(model) in ("clusterer", *_DENSITIES)


def _says(test: Callable[[Any], bool], model: Any) -> bool:
    """Whether scikit-learn says that this is an estimator of a kind.

    It raises for an object that only looks like one.
    """
    try:
        return test(model)
    except Exception:
        return False


def _type(model: Any) -> Any:
    with suppress(Exception):
        return model.__sklearn_tags__().estimator_type
    return getattr(model, "_estimator_type", None)  # of scikit-learn before 1.6


# Describing


def output(model: Any, name: str, value: Any) -> dict[str, Any]:
    """The schema of an output, from what the model answered for a row or two."""
    table = _table(value)
    if table.ndim == 1:
        return {"name": name, **_single(model, table)}
    columns = _column_names(model, name, value, table.shape[1])
    numeric = _predicted(table).kind in ("number", "integer")
    return {"name": name, "type": "columns" if numeric else "object", "columns": columns}


def _single(model: Any, values: Any) -> dict[str, Any]:
    kind = _predicted(values).kind
    if kind != "string":
        return {"type": kind}
    levels = [str(c) for c in _classes(model)]
    return {"type": "label", "levels": levels} if 0 < len(levels) <= MAX_LEVELS else {"type": "string"}


def _classes(model: Any) -> list[Any]:
    classes = getattr(model, "classes_", None)
    return [] if classes is None else list(classes)


def _column_names(model: Any, name: str, value: Any, width: int) -> list[str]:
    classes = _classes(model)
    several = bool(classes) and isinstance(classes[0], np.ndarray)
    if isinstance(value, list) and several:  # predict_proba of a multi-output classifier
        return [f"y{i}.{label}" for i, labels in enumerate(classes) for label in labels]
    if name == "transform":
        with suppress(Exception):
            names = [str(n) for n in model.get_feature_names_out()]
            if len(names) == width and len(set(names)) == width:
                return names
    if not several and len(classes) == width:
        return [str(label) for label in classes]
    prefix = {"response": "y", "class": "y", "prob": ""}.get(name, name)
    return [f"{prefix}{i}" for i in range(width)]


# Answering


def predictions(value: Any, names: Sequence[str] | None, warnings: tuple[str, ...] = ()) -> Predictions:
    """A library's answer as predictions, with `names` for its columns where it has several."""
    table = _table(value)
    if table.ndim == 1:
        return Predictions((_predicted(table),), None, warnings)
    columns = tuple(_predicted(table[:, i]) for i in range(table.shape[1]))
    return Predictions(columns, tuple(names) if names else tuple(map(str, range(table.shape[1]))), warnings)


def _table(value: Any) -> Any:
    """An answer of one or two dimensions as predictions. A single column is one value for each row."""
    if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
        value = np.hstack(value)
    if type(value) is not np.ndarray:
        value = value.toarray() if hasattr(value, "toarray") else np.asarray(value)
    if value.ndim == 2 and value.shape[1] == 1:
        return value[:, 0]
    return value if value.ndim <= 2 else value.reshape(len(value), -1)


def _predicted(values: Any) -> Predicted:
    kind = values.dtype.kind
    if kind == "f":
        return Predicted("number", _doubles(values))
    if kind == "b":
        return Predicted("logical", values.tolist())
    if kind in "iu":
        small = values.dtype.itemsize < 4 or bool((values > -(2**31)).all() and (values < 2**31).all())
        return Predicted("integer", values.tolist()) if small else Predicted("number", _doubles(values))
    cells = values.tolist()
    if set(map(type, cells)) <= {str}:
        return Predicted("string", cells)
    return _mixed(cells)


def _doubles(values: Any) -> array[float]:
    doubles = array("d")
    doubles.frombytes(values.astype(np.float64, copy=False).tobytes())
    return doubles


def _mixed(cells: list[Any]) -> Predicted:
    """An array of objects: as values of one type if they all are, else as they are where JSON can hold them."""
    types = set(map(type, cells))
    for one, kind in ((bool, "logical"), (int, "integer"), (float, "number")):
        if types == {one}:
            return _predicted(np.array(cells)) if kind != "logical" else Predicted("logical", cells)
    if types <= {str, bool, int, float, type(None)}:
        return Predicted("object", cells)
    return Predicted("string", [str(cell) for cell in cells])
