"""MLflow's folders: which file is read, by which runtime, with which inputs; and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from server.catalog import mlmodel
from server.catalog.files import PYTHON_FILES, R_FILES, candidate_at, candidates, identify
from server.catalog.unserved import not_served, unserved
from tests.harness.mlflow_folders import save


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def found(path: Path) -> mlmodel.MLmodel:
    about = mlmodel.at(path)
    assert about is not None
    return about


FLAVORS: list[tuple[str, dict[str, Any], str, str]] = [
    ("sklearn", {"pickled_model": "model.pkl"}, "model.pkl", "python"),
    ("sklearn", {}, "model.pkl", "python"),
    ("sklearn", {"pickled_model": "model.skops"}, "model.skops", "python"),
    ("xgboost", {"data": "model.ubj", "model_class": "xgboost.core.Booster"}, "model.ubj", "python"),
    ("lightgbm", {"data": "model.lgb"}, "model.lgb", "python"),
    ("catboost", {"data": "model.cb"}, "model.cb", "python"),
    ("onnx", {"data": "model.onnx"}, "model.onnx", "python"),
    ("pytorch", {"model_data": "data"}, "data/model.pt2", "torch"),
    ("pytorch", {"model_data": "data"}, "data/model.pth", "torch"),
]


@pytest.mark.parametrize(("flavor", "about", "file", "runtime"), FLAVORS)
def test_a_folder_is_one_model_of_its_flavours_runtime(
    tmp_path: Path, flavor: str, about: Mapping[str, Any], file: str, runtime: str
) -> None:
    for place in ("churn", "sales/3"):
        save(tmp_path / place, flavor, about)
        write(tmp_path / place / file)
    models = candidates(tmp_path, PYTHON_FILES)
    assert [(one.name, one.version, one.runtime, one.refused) for one in models] == [
        ("churn", None, runtime, None),
        ("sales", "3", runtime, None),
    ]
    assert found(models[0].path).file == file
    assert found(models[0].path).settings["whole_folder"]
    assert unserved(tmp_path, PYTHON_FILES, models) == []  # conda.yaml and the like are its own
    for path in (tmp_path / "churn", tmp_path / "churn" / file):
        if path.parent != tmp_path / "churn" / "data":
            assert candidate_at(path) == models[0]


def test_every_file_of_the_folder_is_part_of_the_version(tmp_path: Path) -> None:
    save(tmp_path / "churn", "sklearn", {})
    write(tmp_path / "churn" / "model.pkl")
    versions = set()
    for _ in range(2):
        [one] = candidates(tmp_path, PYTHON_FILES)
        versions.add(identify(one).version)
        write(tmp_path / "churn" / "code" / "steps.py")
    assert len(versions) == 2
    assert "code/steps.py" in candidates(tmp_path, PYTHON_FILES)[0].parts


def test_only_a_python_function_gets_the_environment_that_mlflow_wrote_down(tmp_path: Path) -> None:
    save(tmp_path / "native", "sklearn", {})
    write(tmp_path / "native" / "model.pkl")
    save(tmp_path / "pyfunc", mlmodel.PYFUNC, {"loader_module": "mlflow.pyfunc.model"})
    native, pyfunc = (identify(one) for one in candidates(tmp_path, PYTHON_FILES))
    assert native.requirements is None
    assert pyfunc.requirements == tmp_path / "pyfunc" / "requirements.txt"
    own = write(tmp_path / "native" / "model.requirements.txt")
    assert identify(candidates(tmp_path, PYTHON_FILES)[0]).requirements == own


def test_the_signature_has_the_inputs(tmp_path: Path) -> None:
    columns = {"age": "long", "name": "string", "vip": "boolean", "when": ("datetime", False), "place": "array"}
    save(tmp_path, "sklearn", {}, columns)
    write(tmp_path / "model.pkl")
    assert list(found(tmp_path / "MLmodel").inputs) == [
        {"name": "age", "type": "numeric", "dtype": "int64"},
        {"name": "name", "type": "string"},
        {"name": "vip", "type": "logical"},
        {"name": "when", "type": "datetime", "optional": True},
        {"name": "place", "type": "array"},
    ]
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3, -1]}}
    save(tmp_path, "sklearn", {}, [tensor])
    assert list(found(tmp_path / "MLmodel").inputs) == [
        {"name": None, "type": "tensor", "shape": [3, None], "dtype": "float32"}
    ]


def test_the_first_row_of_the_authors_example_is_told(tmp_path: Path) -> None:
    row = {"age": 3, "name": None}
    path = save(tmp_path, "sklearn", {}, example=row)
    write(tmp_path / "model.pkl")
    assert mlmodel.example_row(path) == row
    for said in ('{"columns": ["age"], "data": []}', '{"inputs": [1]}', "{", "[1]", "x" * (mlmodel.MAX_BYTES + 1)):
        (tmp_path / "input_example.json").write_text(said)
        assert mlmodel.example_row(path) is None
    (tmp_path / "input_example.json").unlink()
    assert mlmodel.example_row(path) is None
    assert mlmodel.example_row(save(tmp_path, "sklearn", {})) is None


@pytest.mark.parametrize(
    ("said", "cure"),
    [
        ("{}", "save the model again"),
        ("", "save the model again"),
        ("flavors: [", "save the model again"),
        ("flavors: {python_function: {}}", "save the model again"),
        ("flavors: {sklearn: {}}\nsignature: {inputs: '{'}", "save the model again"),
        ("flavors: {python_function: {loader_module: a, code: ../b}}", "save the model again"),
        ("flavors: {sklearn: {code: /etc}}", "save the model again"),
        ("flavors: {spark: {model_data: x}}", "for spark; served are sklearn, xgboost"),
        ("flavors: {crate: {model: crate.bin}}", "saveRDS"),
        ("flavors: {sklearn: {pickled_model: lost.pkl}}", "lost.pkl, which is not in the folder"),
        ("flavors: {sklearn: {pickled_model: ../other.pkl}}", "not in the folder"),
        ("# " + "x" * mlmodel.MAX_BYTES, "larger than 1 MiB"),
    ],
)
def test_what_cannot_be_served_is_told_with_what_to_do(tmp_path: Path, said: str, cure: str) -> None:
    write(tmp_path / "other.pkl")
    (tmp_path / "churn").mkdir()
    (tmp_path / "churn" / "MLmodel").write_text(said)
    one = candidate_at(tmp_path / "churn")
    assert one is not None and one.refused is not None
    assert cure in one.refused.reason
    assert [c.path for c in candidates(tmp_path, PYTHON_FILES) if c.refused] == [one.path]


def test_aliases_that_stand_for_very_much_are_refused_before_anybody_writes_them_out(tmp_path: Path) -> None:
    """Regression: 400 bytes took gigabytes of the supervisor's memory as it told a template of the model."""
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    config = "\n      ".join(["a0: &a0 [1, 2]", *levels])
    said = f"flavors:\n  python_function:\n    loader_module: x\n    config:\n      {config}\n"
    (tmp_path / "MLmodel").write_text(said)
    assert "aliases" in str(found(tmp_path / "MLmodel").refused)
    (tmp_path / "MLmodel").write_text("flavors: {python_function: {loader_module: &x a.b, data: *x}}")
    assert found(tmp_path / "MLmodel").refused is None


@pytest.mark.parametrize("value", ["[" * 200_000 + "]" * 200_000, "[" * 100])
def test_what_libyaml_cannot_hold_is_refused_and_not_the_end_of_the_process(tmp_path: Path, value: str) -> None:
    path = tmp_path / "MLmodel"
    path.write_text(f"flavors: {value}\n")
    assert "not what MLflow writes" in str(mlmodel.at(path).refused)


def test_a_folder_among_models_of_r_and_an_mlmodel_without_a_folder_are_told(tmp_path: Path) -> None:
    save(tmp_path / "churn", "sklearn", {})
    [told] = unserved(tmp_path, R_FILES, candidates(tmp_path, R_FILES))
    assert told.refused is not None and "folder of Python models" in told.refused.reason
    bare = write(tmp_path / "MLmodel")
    assert "NAME/MLmodel" in not_served(bare).reason
    assert bare in [one.path for one in unserved(tmp_path, PYTHON_FILES, candidates(tmp_path, PYTHON_FILES))]


def test_a_scoring_script_beside_it_comes_first(tmp_path: Path) -> None:
    save(tmp_path / "churn", "sklearn", {})
    write(tmp_path / "churn" / "score.py")
    assert [one.runtime for one in candidates(tmp_path, PYTHON_FILES)] == ["script"]
