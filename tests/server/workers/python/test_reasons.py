"""Why a file is refused, as its analyst reads it: what was wrong, which versions, what to do."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from server.workers.errors import LoadFailed
from server.workers.python import reasons
from tests.server.workers.python import old_models
from tests.server.workers.python.conftest import Serve

X = np.random.default_rng(1).random((40, 2))
MODEL = LogisticRegression().fit(X, X[:, 0] > 0.5)
VERSIONS = f"made with scikit-learn 1.2.2, here is {sklearn.__version__}"


def refused(serve: Serve, path: Path, content: bytes) -> LoadFailed:
    path.write_bytes(content)
    with pytest.raises(LoadFailed) as failed:
        serve(path)
    assert str(path.parent) not in str(failed.value)
    return failed.value


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zlib.compress])
def test_a_file_that_another_version_made_and_this_cannot_read_names_both(
    pack: Callable[[bytes], bytes], serve: Serve, tmp_path: Path
) -> None:
    why = refused(serve, tmp_path / "m.pkl", pack(old_models.TREE))
    assert why.code == "unreadable"
    assert VERSIONS in str(why)
    assert "save it again" in str(why)


@pytest.mark.filterwarnings("ignore")
def test_a_model_that_fails_for_its_age_names_both_versions(serve: Serve, tmp_path: Path) -> None:
    why = refused(serve, tmp_path / "m.pkl", old_models.IMPUTER)
    assert why.code == "predict_fails"
    assert VERSIONS in str(why)
    assert "golden row" not in str(why)


def test_a_module_that_a_package_no_longer_has_is_told_as_another_version(serve: Serve, tmp_path: Path) -> None:
    why = refused(serve, tmp_path / "m.pkl", b"csklearn.preprocessing.data\nStandardScaler\n.")
    assert why.code == "package_missing"
    assert f"another version of scikit-learn, here is scikit-learn {sklearn.__version__}" in str(why)
    assert "'sklearn.preprocessing.data' is gone" in str(why)
    assert "not installed" not in str(why)


def test_a_package_that_is_missing_is_named_as_it_is_installed(serve: Serve, tmp_path: Path) -> None:
    assert "pip install opencv-python" in str(refused(serve, tmp_path / "m.pkl", b"ccv2\nCascade\n."))
    assert "pip install nobody_has_it" in str(refused(serve, tmp_path / "m.pkl", b"cnobody_has_it.a.b\nC\n."))


@pytest.mark.parametrize("module", ["__main__", "server.workers.template", "server.cli"])
def test_a_class_of_a_notebook_is_called_so_and_no_module_of_the_server_is_named(
    module: str, serve: Serve, tmp_path: Path
) -> None:
    why = refused(serve, tmp_path / "m.pkl", f"c{module}\nRatio\n.".encode())
    assert why.code == "missing_code"
    assert "'Ratio'" in str(why)
    assert "notebook or script" in str(why)
    assert "server." not in str(why)


@pytest.mark.parametrize(
    ("bundle", "told"),
    [
        ({"model": MODEL, "columns": ["a", "b"], "threshold": 0.4}, "a dict with LogisticRegression under 'model'"),
        (
            {"scaler": StandardScaler(), "model": MODEL},
            "StandardScaler under 'scaler', LogisticRegression under 'model'",
        ),
        ((MODEL, 0.4), "a tuple with LogisticRegression under 0, beside 1"),
        (LogisticRegression, "the class LogisticRegression itself"),
        (np.arange(3), "an object of class ndarray"),
    ],
)
def test_what_lies_in_a_file_instead_of_a_model_is_told(bundle: Any, told: str, serve: Serve, tmp_path: Path) -> None:
    why = refused(serve, tmp_path / "m.pkl", pickle.dumps(bundle))
    assert why.code == "no_predict"
    assert told in str(why)


def test_what_native_code_says_of_where_it_stood_is_left_out() -> None:
    said = "[10:20:30] /workspace/src/learner.cc:12: Check failed: no version\nStack trace:\n  [bt] /lib/a.so"
    assert reasons.words(said) == "Check failed: no version"
    assert reasons.words("no file /home/ann/models/a.bin") == "no file a.bin"


def test_of_layouts_that_differ_no_field_is_told() -> None:
    layouts = "- expected: {'names': ['left'],\n 'formats': ['<i8']}\n- got     : [('left'"
    said = f"node array has an incompatible dtype:\n{layouts}"
    assert reasons.words(said) == "node array has an incompatible dtype"


class Plain:
    """What has predict and says no more of itself than its author wrote down."""

    def __init__(self, columns: list[str]) -> None:
        self.columns = columns

    def predict(self, rows: Any) -> Any:
        return np.zeros(len(rows))


def test_the_draft_of_a_sidecar_has_the_names_that_the_model_has(serve: Serve) -> None:
    with pytest.raises(LoadFailed) as failed:
        serve(Plain(["age", "Price (EUR)", "yes"]))
    assert failed.value.code == "no_schema"
    assert str(failed.value).endswith(
        """schema:
  inputs:
    - {name: age, type: numeric}
    - {name: "Price (EUR)", type: numeric}
    - {name: "yes", type: numeric}"""
    )


def test_an_estimator_that_was_never_fitted_is_told_so(serve: Serve) -> None:
    for model in (LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression())):
        with pytest.raises(LoadFailed, match=r"never fitted; call its fit\(\)") as failed:
            serve(model)
        assert failed.value.code == "predict_fails"
