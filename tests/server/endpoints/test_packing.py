"""Azure's deployments with code: which files become a version, and conda's lines as pip's."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from server.endpoints.conda import requirements_of
from server.endpoints.definition import BadDefinition
from server.endpoints.packing import Packed, brings_files, packed

SCRIPT = "def init():\n    pass\n\n\ndef run(raw_data):\n    return 1\n"


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    (tmp_path / "code" / "helpers").mkdir(parents=True)
    (tmp_path / "code" / "score.py").write_text(SCRIPT)
    (tmp_path / "code" / "helpers" / "more.py").write_text("x = 1\n")
    (tmp_path / "code" / "__pycache__").mkdir()
    (tmp_path / "code" / "__pycache__" / "x.pyc").write_bytes(b"x")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "m.pkl").write_bytes(b"pickle")
    (tmp_path / "conda.yml").write_text(
        "dependencies: [python=3.11, numpy=1.26, {pip: [azureml-defaults, joblib==1.5.0]}]\n"
    )
    return tmp_path


def deployment(**more: Any) -> dict[str, Any]:
    code = {"code": "code", "scoring_script": "score.py"}
    return {"name": "blue", "endpoint_name": "cars", "code_configuration": code} | more


def names(found: Packed) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(found.archive)) as tar:
        return {one.name: (tar.extractfile(one) or io.BytesIO()).read() for one in tar.getmembers()}


def test_script_model_packages_and_variables_become_one_version(beside: Path) -> None:
    found = packed(
        deployment(
            model={"path": "model/"},
            environment={"conda_file": "conda.yml", "image": "x"},
            environment_variables={"A": 1},
            instance_count=2,
            instance_type="x",
        ),
        beside,
    )
    files = names(found)
    assert set(files) == {
        *("score.py", "helpers/more.py", "model/m.pkl", "requirements.txt", "model.yaml", "tandem-environment.json"),
    }
    assert files["requirements.txt"] == b"numpy==1.26.*\njoblib==1.5.0\n"
    assert (files["model.yaml"], json.loads(files["tandem-environment.json"])) == (b"workers: 2\n", {"A": "1"})
    assert (found.model, found.r) == ("cars-blue", False)
    assert found.document == {
        "name": "blue",
        "endpoint_name": "cars",
        "instance_type": "x",
        "model": f"azureml:cars-blue:{found.version}",
    }
    assert [warning.split()[0] for warning in found.warnings] == ["'environment.image'", "conda.yml:"]


def test_the_same_files_are_the_same_version_and_others_another(beside: Path) -> None:
    one = packed(deployment(), beside)
    (beside / "code" / "score.py").touch()
    assert packed(deployment(), beside).archive == one.archive
    (beside / "code" / "score.py").write_text(SCRIPT + "# other\n")
    assert packed(deployment(), beside).version != one.version


def test_a_model_without_a_script_is_the_version_itself(beside: Path) -> None:
    assert brings_files({"model": {"path": "x"}}) and not brings_files({"model": "azureml:m:1"})
    file = packed({"name": "b", "endpoint_name": "e", "model": {"path": "model/m.pkl"}}, beside)
    assert names(file) == {"model.pkl": b"pickle"}
    (beside / "model" / "model.rds").write_bytes(b"r")
    folder = packed({"name": "b", "endpoint_name": "e", "model": {"path": "model"}}, beside)
    assert (set(names(folder)), folder.r) == ({"m.pkl", "model.rds"}, True)


def test_a_script_of_another_name_is_imported_by_the_one_that_is_looked_for(beside: Path) -> None:
    (beside / "code" / "score.py").rename(beside / "code" / "main.py")
    found = names(packed(deployment(code_configuration={"code": "code", "scoring_script": "main.py"}), beside))
    assert found["score.py"].startswith(b"from main import init, run")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"code_configuration": {"code": "code"}}, "'scoring_script', a file in it"),
        ({"code_configuration": {"code": "none", "scoring_script": "score.py"}}, "'none', where there is nothing"),
        ({"code_configuration": {"code": "code", "scoring_script": "a.py"}}, "there is no a.py"),
        ({"model": "azureml:m:1"}, "brings its model as files"),
        ({"model": {"path": 1}}, "'model.path' is the path"),
        ({"environment": {"build": {}}}, "'environment.build' is not supported here: images are not built"),
        ({"environment": {"conda_file": "none.yml"}}, "where there is nothing"),
        ({"environment_variables": "A=1"}, "names with values"),
    ],
)
def test_what_cannot_be_put_together_is_told(beside: Path, more: dict[str, Any], told: str) -> None:
    with pytest.raises(BadDefinition) as refused:
        packed(deployment(**more), beside)
    assert told in refused.value.text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("numpy", "numpy"),
        ("numpy=1.26", "numpy==1.26.*"),
        ("numpy=1.26.4", "numpy==1.26.4"),
        ("numpy==1.26", "numpy==1.26"),
        ("numpy=1.26.4=py311h64a7726_0", "numpy==1.26.4"),
        ("numpy>=1.26,<2", "numpy>=1.26,<2"),
        ("conda-forge::scipy >= 1.10", "scipy>=1.10"),
        ("pytorch=2.3.0", "torch==2.3.0"),
        ("numpy *", "numpy"),
    ],
)
def test_condas_lines_become_pips(line: str, expected: str) -> None:
    assert requirements_of({"dependencies": [line]}, "c.yml") == ([expected], [])


def test_what_the_server_is_itself_is_left_out() -> None:
    given = ["python=3.8", "pip=22", {"pip": ["azureml-inference-server-http", "azureml_defaults==1", "xgboost"]}]
    lines, warnings = requirements_of({"dependencies": given}, "c.yml")
    assert (lines, len(warnings)) == (["xgboost"], 1)
    assert requirements_of({}, "c.yml") == ([], [])
    for bad in ({"dependencies": "numpy"}, {"dependencies": [1]}, {"dependencies": [{"npm": []}]}):
        with pytest.raises(BadDefinition):
            requirements_of(bad, "c.yml")
