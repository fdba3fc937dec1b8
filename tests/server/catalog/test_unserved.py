"""What lies in a model folder and is not served: what is told of it, and what is left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.catalog import unserved
from server.catalog.files import PYTHON_FILES, R_FILES, Kinds, candidates

KINDS = {"r": R_FILES, "python": PYTHON_FILES}


def write(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def told(folder: Path, kinds: Kinds = PYTHON_FILES) -> dict[str, str]:
    """The reasons, by the paths in the folder."""
    found = unserved.unserved(folder, kinds, candidates(folder, kinds))
    assert all(one.refused is not None and one.name for one in found)
    return {str(one.path.relative_to(folder)): one.refused.reason for one in found if one.refused is not None}


@pytest.mark.parametrize(
    ("kinds", "name", "cure"),
    [
        ("python", "line.h5", "ONNX"),
        ("python", "line.PTH", "torch.export"),
        ("python", "line.pmml", "export it as ONNX"),
        ("python", "line.npz", "holds data"),
        ("python", "line.zip", "unpack it"),
        ("r", "request.json", "known are .rds"),
        ("r", "line.ubj", "folder of Python models"),
        ("python", "line.yml", "rename it"),
        ("python", "line.rds", "move it there"),
        ("python", "score.py", "folder NAME with a file score.py"),
        ("python", "line", "known are .joblib, .pkl"),
        ("python", "line.pkl.zip", "unpack it"),
        ("python", "a line.pkl", "rename it"),
        ("python", ".pkl-is-not-this.h5x.weird name", None),
        ("r", "cars.qs", "saveRDS"),
        ("r", "cars.pkl", "folder of Python models"),
        ("r", "score.R", "folder NAME with a file score.R"),
        ("r", "cars.rds.gz", "known are .rds"),
        ("r", "größe.rds", "rename it"),
    ],
)
def test_a_file_that_is_no_model_here_is_told_with_what_to_do(
    tmp_path: Path, kinds: str, name: str, cure: str | None
) -> None:
    write(tmp_path / name)
    reasons = told(tmp_path, KINDS[kinds])
    if cure is None:
        assert reasons == {}
    else:
        assert cure in reasons[name]


@pytest.mark.parametrize(
    "name",
    [
        ".Rhistory",
        ".cars.rds.k3xQ2",
        "cars.rds~",
        "#cars.yaml#",
        "cars.rds.part",
        "cars.rds.filepart",
        "cars.rds.tmp",
        "cars.yaml",
        "cars.rds.sig",
        "README",
        "LICENSE.txt",
        "requirements.txt",
        "cars.txt",
        "notes.TXT",
        "notes.md",
        "cars.csv",
        "request.jsonl",
        "plot.png",
        "train.R",
        "fit.ipynb",
        "tandem.R",
        "train/cars.csv",
        "train/model.rds",
        "data/cars.h5",
        "__pycache__/x.pyc",
        "empty/",
    ],
)
def test_what_commonly_lies_beside_models_is_left_alone(tmp_path: Path, name: str) -> None:
    write(tmp_path / "cars.rds")
    if name.endswith("/"):
        (tmp_path / name).mkdir()
    else:
        write(tmp_path / name)
    assert told(tmp_path, R_FILES) == {}
    assert [c.path.name for c in candidates(tmp_path, R_FILES)] == ["cars.rds"]


def test_a_text_that_lightgbm_wrote_is_a_model_and_any_other_is_left_alone(tmp_path: Path) -> None:
    trees = b"tree\nversion=v4\n"
    for name in ("churn.txt", "folder/model.txt", "folder/old.txt", "windows.txt"):
        write(tmp_path / name, trees.replace(b"\n", b"\r\n") if name == "windows.txt" else trees)
    for name in ("notes.txt", "churn.requirements.txt", "folder/requirements.txt", "folder/LICENSE.txt", "empty.txt"):
        write(tmp_path / name, b"" if name == "empty.txt" else b"trees")
    found = [str(one.path.relative_to(tmp_path)) for one in candidates(tmp_path, PYTHON_FILES)]
    assert found == ["churn.txt", "folder/model.txt", "windows.txt"]
    assert list(told(tmp_path)) == ["folder/old.txt"]
    assert "folder of Python models" in told(tmp_path, R_FILES)["churn.txt"]
    assert "first line is 'tree'" in unserved.not_served(tmp_path / "notes.txt").reason


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    write(tmp_path / "a" / "weights.bin")
    write(tmp_path / "keras" / "saved_model.pb")
    reasons = told(tmp_path)
    assert "model.pkl" in reasons["a"]
    assert "TensorFlow" in reasons["keras/saved_model.pb"]


def test_in_a_models_folder_a_file_under_another_name_is_told(tmp_path: Path) -> None:
    beside = ("c/1/words.bin", "c/1/about.json")
    for name in ("a/a.pkl", "b/1/model.pkl", "b/1/other.pkl", "b/2/model.h5", "c/1/model.pkl", *beside):
        write(tmp_path / name)
    reasons = told(tmp_path)
    assert sorted(reasons) == ["a/a.pkl", "b/1/other.pkl", "b/2/model.h5"]
    assert "called model.pkl; rename it, or move it up" in reasons["a/a.pkl"]
    assert "is model.pkl, and a folder has one" in reasons["b/1/other.pkl"]


def test_what_lies_in_a_scripts_folder_is_its_own(tmp_path: Path) -> None:
    for name in ("a/score.py", "a/weights.h5", "a/deep/model.h5", "b/1/score.py", "b/1/model.pkl"):
        write(tmp_path / name)
    assert told(tmp_path) == {}


def test_a_folder_that_is_a_model_folder_itself_is_not_told(tmp_path: Path) -> None:
    write(tmp_path / "r_models" / "cars.rds")
    others = [tmp_path / "r_models"]
    assert unserved.unserved(tmp_path, PYTHON_FILES, [], others) == []


def test_links_and_pipes_are_told_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "lost.pkl").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.pkl").symlink_to(tmp_path / "loop.pkl")
    os.mkfifo(tmp_path / "pipe.pkl")
    reasons = told(tmp_path)
    assert "link" in reasons["lost.pkl"]
    assert "link" in reasons["loop.pkl"]
    assert "pipe" in reasons["pipe.pkl"]


def test_links_that_lead_out_of_the_model_folder_are_told_and_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    for name in ("models/versions/1/model.pkl", "out/model.pkl", "out/1/model.pkl", "models/faq/2/words.txt"):
        write(tmp_path / name)
    for link, target in {
        "bare.pkl": "../out/model.pkl",
        "alone": "../out",
        "versions/2": "../../out",
        "faq/1": "../../out",
        "faq/model.pkl": "../../out/model.pkl",
        "inside": "versions/1",
    }.items():
        (folder / link).symlink_to(target)
    assert [(one.name, one.version) for one in candidates(folder, PYTHON_FILES)] == [
        ("inside", None),
        ("versions", "1"),
    ]
    reasons = told(folder)
    assert sorted(reasons) == ["alone", "bare.pkl", "faq/1", "faq/model.pkl", "versions/2"]
    assert all("leads out of the model folder" in reason for reason in reasons.values())


def test_any_bytes_in_a_name_can_be_told(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe\n.h5")).write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + b"\xff" * 200)).write_bytes(b"x")
    found = unserved.unserved(tmp_path, PYTHON_FILES, [])
    assert len(found) == 2
    for one in found:
        assert one.refused is not None
        file = unserved.model_file(one, one.refused)
        file.model_key.encode()
        assert len(file.name) <= 100


def test_a_change_of_what_is_told_changes_its_key(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    keys = set()
    for content in (b"1", b"22"):
        path.write_bytes(content)
        [one] = unserved.unserved(tmp_path, PYTHON_FILES, [])
        assert one.refused is not None
        keys.add(unserved.model_file(one, one.refused).model_key)
    assert len(keys) == 2
