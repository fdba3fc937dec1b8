"""MLflow's `python_function`: a model that a module of its own loads, and whose predict takes a data frame or arrays.

MLflow is imported only where that module is MLflow's. The inputs are those of the model's signature, and so are the
parameters, which are a request's options.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import metadata
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from server.wire.models import ModelSpec
from server.wire.schema import INPUT_TYPES, Schema
from server.workers.errors import LoadFailed
from server.workers.python import answers, arrays, files, reasons
from server.workers.python.answers import Method
from server.workers.python.estimator import About
from server.workers.python.feed import Feed, frame_feed
from server.workers.python.params import defaults, options
from server.workers.stated_inputs import corrected, from_signature

NO_SIGNATURE = """the MLmodel has no signature that names the columns; save the model with one \
(signature=mlflow.models.infer_signature(frame, predictions)), or say them in the sidecar, model.yaml:
schema:
  inputs:
    - {name: age, type: numeric}
    - {name: region, type: string}"""


class Pyfunc:
    """MLflow's `python_function` as a model that was read from its file."""

    age: str | None = None

    def __init__(self, spec: ModelSpec) -> None:
        assert spec.settings.pyfunc is not None
        self._about = spec.settings.pyfunc
        self._signature = spec.signature
        self._model, self.warnings = files.guarded(partial(_loaded, spec), Path(spec.path))
        if not callable(getattr(self._model, "predict", None)):
            raise reasons.no_model(self._model)
        self.methods: Mapping[str, Method] = {"response": self._predict}
        params = self._about.get("params") or () if "params" in signature(self._model.predict).parameters else ()
        self.options, self._defaults = options(params), defaults(params)
        self.alone = (
            f"its loader ({self._about['loader_module']}) runs code of its own, as a script does; so it has a process "
            "of its own, and its workers read it by themselves"
        )

    def about(self) -> About:
        """The module that loads the model, and the package that the module is of."""
        package = reasons.distribution(self._about["loader_module"])
        name = f"MLflow python_function by {self._about['loader_module']}"
        try:
            return About(name, package, metadata.version(package))
        except metadata.PackageNotFoundError:  # a module in the model's own folder
            return About(name, None, None)

    def inputs(self, stated: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The inputs of the model's signature."""
        if arrays.are_told(self._signature):
            return corrected(arrays.inputs(self._signature), stated)
        found = corrected(from_signature(self._signature), stated)
        if not found:
            raise LoadFailed("no_schema", NO_SIGNATURE)
        for one in found:
            if one["type"] not in INPUT_TYPES or one["type"] in ("tensor", "image"):
                raise LoadFailed(
                    "unsupported_input",
                    f"the signature's input '{one['name']}' is of type {one['type']}; a python_function is served if "
                    "its inputs are columns of numbers, texts, booleans or times, or arrays of numbers. Serve it by a "
                    "scoring script (score.py) that calls mlflow.pyfunc.load_model",
                )
        return found

    def usual(self, names: Sequence[str]) -> Mapping[str, float]:
        """Nothing: a python_function remembers no usual values."""
        return {}

    def feed(self, schema: Schema) -> Feed:
        """A feed that hands over a data frame or arrays, as MLflow does."""
        if arrays.are_told(self._signature):
            return arrays.feed(self._signature, schema)
        frame = frame_feed(schema)
        numeric = {i.name for i in schema.inputs if i.type == "numeric"}
        types = {str(i["name"]): str(i["dtype"]) for i in self._signature if "dtype" in i and i["name"] in numeric}
        return lambda columns, rows, single: _typed(frame(columns, rows, single), types)

    def ready(self, feed: Feed) -> Mapping[str, Method]:
        """The methods as they are: a python_function needs nothing more."""
        return self.methods

    def output(self, name: str, value: Any) -> dict[str, Any]:
        """The schema of an output. The columns of a data frame have its names."""
        found = answers.output(self._model, name, value)
        if isinstance(value, pd.DataFrame) and "columns" in found:
            found["columns"] = [str(column) for column in value.columns]
        return found

    def _predict(self, rows: Any, given: Mapping[str, Any] | None = None) -> Any:
        params = {"params": {**self._defaults, **(given or {})}} if self._defaults else {}
        value = self._model.predict(rows, **params)
        if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
            return pd.DataFrame(value)
        return value


def _loaded(spec: ModelSpec) -> Any:
    """The model, loaded as `mlflow.pyfunc.load_model` would load it."""
    assert spec.settings.pyfunc is not None
    about, folder = spec.settings.pyfunc, Path(spec.path).parent
    files.import_from(folder, about["code"])
    data = folder / about["data"] if about["data"] else folder
    load = importlib.import_module(about["loader_module"])._load_pyfunc
    return load(str(data), about["config"]) if about["config"] else load(str(data))


def _typed(frame: Any, types: Mapping[str, str]) -> Any:
    """A data frame with the signature's types. Whole numbers stay doubles where a value is missing, or is not whole."""
    fit = {name: kind for name, kind in types.items() if kind == "float32" or _is_whole(frame[name].to_numpy())}
    return frame.astype(fit) if fit else frame


def _is_whole(values: Any) -> bool:
    return values.dtype.kind == "f" and bool((np.isfinite(values) & (values == np.trunc(values))).all())
