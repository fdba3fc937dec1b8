"""One server for the tests of all dialects, with a model of every kind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from tests.harness.tandem import ROOT, Tandem

SCRIPT = """
import json

def init():
    pass

def run(raw_data):
    return {"got": json.loads(raw_data)}
"""
IRIS = load_iris()
DATED = """
lm(y ~ day + weekend + count, data.frame(
  y = c(1, 3, 2, 5, 4, 7), day = as.Date("2026-01-01") + 0:5,
  weekend = c(TRUE, FALSE, TRUE, FALSE, FALSE, TRUE), count = 1:6 * 2L))
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, example_models: Path) -> Iterator[Tandem]:
    small = {"r_workers": 1, "python_workers": 1, "torch_threads": 1, "max_body_mb": 2}
    tandem = Tandem(tmp_path_factory.mktemp("v2"), **small, basic="passwords", trusted_proxies="127.0.0.1")
    for name in ("mpg", "iris"):
        for kept in (example_models / f"{name}.rds", example_models / f"{name}.yaml"):
            shutil.copy(kept, tandem.r_models)
    tandem.drop("ahead", "arima(lh, order = c(1, 0, 0))")
    tandem.drop("dated", DATED)
    (tandem.r_models / "dated.yaml").write_text("service: {operation_id: foresee, output: answer}\n")
    tandem.drop("whole", "function(d) d$n * 2")
    (tandem.r_models / "whole.yaml").write_text("schema: {inputs: [{name: n, type: integer, na: false}]}\n")
    for kept in ("digits.pt2", "digits.yaml", "iris_logistic.joblib", "iris_logistic.yaml"):
        shutil.copy(ROOT / "python_models" / kept, tandem.python_models)
    graph = to_onnx(
        LogisticRegression(max_iter=500).fit(IRIS.data, IRIS.target),
        IRIS.data[:1].astype(np.float32),
        options={"zipmap": False},
    )
    (tandem.python_models / "graph.onnx").write_bytes(graph.SerializeToString())
    script = tandem.python_models / "echo"
    script.mkdir()
    (script / "score.py").write_text(SCRIPT)
    tandem.start()
    yield tandem
    assert tandem.stop() == 0
