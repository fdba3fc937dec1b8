"""The Python runtime: scikit-learn's estimators, what looks like them, and ONNX graphs, one call at a time."""

from __future__ import annotations

import os
import platform
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import sklearn
import sklearn.compose
import sklearn.ensemble
import sklearn.feature_extraction.text
import sklearn.linear_model
import sklearn.pipeline  # with those above: what most models need is read once, before any fork

from server.wire.models import Description, ModelSpec
from server.wire.schema import SchemaError
from server.workers import golden
from server.workers.errors import LoadFailed
from server.workers.python import describe, onnx
from server.workers.python.estimator import Estimator, ReadModel
from server.workers.python.model import PythonModel
from server.workers.python.pyfunc import Pyfunc
from server.workers.python.traces import PythonPart
from server.workers.runtime import Runtime
from server.workers.traces import Part

REHEARSING_S = 1.0
"""Seconds of a call above which a model gains nothing from being called again before the template forks."""


class PythonRuntime(Runtime):
    """The libraries of Python whose models can be forked, in this process."""

    name = "python"

    def start(self) -> Mapping[str, str]:
        """Say which versions of the libraries there are; they were imported with this module."""
        return {
            "python": platform.python_version(),
            "scikit-learn": sklearn.__version__,
            "numpy": np.__version__,
            "pandas": pd.__version__,
            "joblib": joblib.__version__,
        }

    def shared(self) -> Sequence[Part]:
        """The settings of Python and of its packages."""
        return (PythonPart(),)

    def describe(self, spec: ModelSpec) -> Description:
        """Read the file, find its schema, check its golden rows, prove whether it may be batched."""
        try:
            return describe.describe(spec, _read(spec))
        except SchemaError as e:
            raise LoadFailed("bad_schema", str(e)) from e

    def load(self, spec: ModelSpec) -> PythonModel:
        """Load a described model."""
        try:
            model = describe.load(spec, _read(spec))
        except SchemaError as e:
            raise LoadFailed("bad_schema", str(e)) from e
        if not _is_graph(spec) and spec.settings.threads == 1:
            golden.rehearse(model, spec.example or {}, 1, REHEARSING_S)
        return model

    def after_fork(self, seed: int, scratch: Path, slot: int) -> None:
        """Give this fork random numbers and a temporary folder of its own.

        Graphs are compiled here, because the template must not compile them.
        """
        os.environ["JOBLIB_TEMP_FOLDER"] = str(scratch)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        if slot:
            onnx.open_all()


def _read(spec: ModelSpec) -> ReadModel:
    if spec.settings.pyfunc is not None:
        return Pyfunc(spec)
    return onnx.OnnxModel(spec) if _is_graph(spec) else Estimator(spec)


def _is_graph(spec: ModelSpec) -> bool:
    return spec.path.lower().endswith(".onnx")
