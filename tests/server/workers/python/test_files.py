"""Model files in every format, and bad ones: each is refused with a text that says what to do and names no path."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from server.wire.models import ModelSpec, RuntimeSettings
from server.workers.errors import LoadFailed
from server.workers.python.runtime import PythonRuntime
from tests.harness.tandem import ROOT
from tests.server.workers.python.conftest import Serve

IRIS, SPECIES = load_iris(return_X_y=True)
ROW = {"x0": 6.3, "x1": 2.5, "x2": 4.9, "x3": 1.8}


@pytest.fixture(scope="module")
def model() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(IRIS, SPECIES)


def _pickle(model: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(model))


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("m.joblib", joblib.dump),
        ("m.pkl", _pickle),
        ("m.pkl", lambda model, path: joblib.dump(model, path, compress=3)),
        ("m.skops", skops.io.dump),
        ("m.SKOPS", skops.io.dump),
        ("m.PKL", _pickle),
        ("m.sav", joblib.dump),
        ("m.pkl.gz", lambda model, path: path.write_bytes(gzip.compress(pickle.dumps(model)))),
        ("m.pkl.bz2", lambda model, path: path.write_bytes(bz2.compress(pickle.dumps(model)))),
        ("m.pickle.xz", lambda model, path: path.write_bytes(lzma.compress(pickle.dumps(model)))),
        ("m.joblib.z", lambda model, path: path.write_bytes(zlib.compress(pickle.dumps(model)))),
    ],
)
def test_a_model_is_the_same_in_every_format(
    name: str, save: Callable[[Any, Path], object], model: Any, serve: Serve, tmp_path: Path
) -> None:
    save(model, tmp_path / name)
    served = serve(tmp_path / name)
    assert served.values([ROW], "prob") == model.predict_proba([[*ROW.values()]]).tolist()
    about = served.description
    assert about.model_class == "Pipeline of StandardScaler, LogisticRegression"
    assert (about.package, tuple(about.load_warnings)) == ("scikit-learn", ())
    assert about.rowwise
    assert "same bits" in about.batch_reason


def test_types_that_skops_does_not_trust_are_named_with_the_key_that_trusts_them(
    model: Any, serve: Serve, tmp_path: Path
) -> None:
    odd = make_pipeline(_Halving(), model)
    skops.io.dump(odd, tmp_path / "m.skops")
    [type_] = skops.io.get_untrusted_types(file=tmp_path / "m.skops")
    refused = _refused(serve, tmp_path / "m.skops")
    assert refused.code == "untrusted_types"
    assert str(refused).endswith(f"\ntrusted: [{type_}]")
    served = serve(tmp_path / "m.skops", settings=RuntimeSettings(trusted=[type_]))
    assert served.values([ROW], "prob") == odd.predict_proba([[*ROW.values()]]).tolist()


class _Halving(BaseEstimator):  # type: ignore[misc]
    n_features_in_ = 4

    def fit(self, x: Any, y: Any = None) -> _Halving:
        return self

    def transform(self, x: Any) -> Any:
        return np.asarray(x) / 2

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _refused(serve: Serve, path: Path, **more: Any) -> LoadFailed:
    with pytest.raises(LoadFailed) as failed:
        serve(path, **more)
    assert str(path.parent) not in str(failed.value)
    return failed.value


class _Doing:
    """A pickle that runs something when it is read."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


def test_a_pickle_that_leaves_the_process_is_refused(serve: Serve, tmp_path: Path) -> None:
    _pickle(_Doing(sys.exit, 3), tmp_path / "m.pkl")
    refused = _refused(serve, tmp_path / "m.pkl")
    assert refused.code == "unreadable"
    assert "sys.exit" in str(refused)


def test_a_pickle_that_raises_is_refused_with_its_words(serve: Serve, tmp_path: Path) -> None:
    _pickle(_Doing(int, f"{tmp_path}/m.pkl"), tmp_path / "m.pkl")
    assert "invalid literal for int" in str(_refused(serve, tmp_path / "m.pkl"))


@pytest.mark.parametrize("name", ["m.joblib", "m.pkl", "m.skops", "m.onnx"])
@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x05\x95", b"PK\x03\x04", b"\x08\x07\x12"])
def test_what_is_no_model_file_is_refused(name: str, content: bytes, serve: Serve, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert _refused(serve, tmp_path / name).code == "unreadable"


def test_half_a_file_is_refused(model: Any, serve: Serve, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    (tmp_path / "m.joblib").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    assert _refused(serve, tmp_path / "m.joblib").code == "unreadable"


def test_a_package_that_is_missing_is_named(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(b"cxgboost_of_old\nBooster\n.")
    refused = _refused(serve, tmp_path / "m.pkl")
    assert (refused.code, "'xgboost_of_old'" in str(refused)) == ("package_missing", True)


def test_code_of_a_notebook_is_named(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(b"csklearn.base\nmy_helper\n.")
    refused = _refused(serve, tmp_path / "m.pkl")
    assert (refused.code, "'my_helper'" in str(refused)) == ("missing_code", True)


@pytest.mark.parametrize("content", [{"a": 1}, [1, 2], None, "text", np.arange(3)])
def test_an_object_that_cannot_predict_is_refused(content: Any, serve: Serve) -> None:
    with pytest.raises(LoadFailed) as failed:
        serve(content)
    assert failed.value.code == "no_predict"


def test_an_estimator_that_was_never_fitted_is_refused(serve: Serve) -> None:
    with pytest.raises(LoadFailed, match="never fitted"):
        serve(LogisticRegression())
    with pytest.raises(LoadFailed, match="not fitted"):
        serve(LogisticRegression(), inputs=[{"name": "a", "type": "numeric"}])


def test_a_model_of_another_version_serves_and_says_so(model: Any, serve: Serve, tmp_path: Path) -> None:
    old = pickle.dumps(LogisticRegression(max_iter=500).fit(IRIS, SPECIES))
    version = __import__("sklearn").__version__.encode()
    (tmp_path / "m.pkl").write_bytes(old.replace(version, b"0.9.0"[: len(version)].ljust(len(version), b"0")))
    served = serve(tmp_path / "m.pkl")
    [warning] = served.description.load_warnings
    assert "from version 0.9.0 when using version" in warning
    assert served.ask([ROW]) == [2]


def test_the_sidecar_may_choose_and_name_outputs(model: Any, serve: Serve) -> None:
    stated = [{"name": "prob", "type": "columns", "columns": ["setosa", "versicolor", "virginica"]}]
    served = serve(model, outputs=stated)
    assert list(served.ask([ROW])[0]) == ["setosa", "versicolor", "virginica"]
    with pytest.raises(LoadFailed, match="has no output 'risk'; it has class, prob, decision"):
        serve(model, outputs=[{"name": "risk", "type": "number"}])


def test_granted_threads_change_no_answer(model: Any, serve: Serve) -> None:
    served = serve(model, settings=RuntimeSettings(threads=2))
    assert served.values([ROW], "prob") == model.predict_proba([[*ROW.values()]]).tolist()


def test_an_input_of_a_type_that_no_estimator_takes_is_refused(model: Any, serve: Serve) -> None:
    with pytest.raises(LoadFailed) as failed:
        serve(model, inputs=[{"name": "x0", "type": "image"}])
    assert failed.value.code == "bad_schema"


def test_a_loaded_model_needs_what_the_probe_found(model: Any, tmp_path: Path) -> None:
    runtime = PythonRuntime()
    assert {"python", "scikit-learn"} <= runtime.start().keys()
    joblib.dump(model, tmp_path / "m.joblib")
    spec = ModelSpec(model_key="k", name="m", version="v", path=str(tmp_path / "m.joblib"))
    found = runtime.describe(spec)
    loaded = runtime.load(replace(spec, schema=found.schema, example=found.example, rowwise=found.rowwise))
    assert (loaded.schema.to_data(), loaded.rowwise) == (found.schema, True)


def test_a_template_is_spared_what_few_models_need_until_one_does(tmp_path: Path) -> None:
    """Regression: skops imports all of scikit-learn and PyTorch, seconds of each start of each server."""
    skops.io.dump(LogisticRegression().fit([[1.0], [2.0]], [1, 2]), tmp_path / "m.skops")
    code = """
import sys
from server.workers.python import files, runtime
assert not {"skops", "torch", "pytest"} & sys.modules.keys()
print(files._skops_io().load(sys.argv[1]).predict([[9.0]]), "torch" in sys.modules)
import torch
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "m.skops")], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert (done.stdout, done.returncode) == ("[2] False\n", 0), done.stderr
