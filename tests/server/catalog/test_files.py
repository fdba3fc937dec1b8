"""Model files: which are found, and what names them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from server.catalog.beneath import Unopened
from server.catalog.files import (
    PYTHON_FILES,
    R_FILES,
    ModelFile,
    candidate_at,
    candidates,
    identified_again,
    identify,
    unchanged,
)
from server.catalog.parts import signature_of

LONG_AGO = 1_000_000_000.0


def write(path: Path, content: bytes = b"model", modified: float | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if modified is not None:
        os.utime(path, (modified, modified))
    return path


def found(folder: Path) -> list[tuple[str, str | None, str]]:
    return [(c.name, c.version, c.path.relative_to(folder).as_posix()) for c in candidates(folder, R_FILES)]


def identified(folder: Path, name: str = "mpg") -> ModelFile:
    [one] = [c for c in candidates(folder, R_FILES) if c.name == name]
    return identify(one)


# Looking


def test_a_bare_file_is_a_model_without_a_version_yet(tmp_path: Path) -> None:
    write(tmp_path / "mpg.rds")
    assert found(tmp_path) == [("mpg", None, "mpg.rds")]


def test_version_folders_hold_one_version_each(tmp_path: Path) -> None:
    write(tmp_path / "mpg" / "1.9" / "model.rds")
    write(tmp_path / "mpg" / "1.10" / "model.rds")
    assert sorted(found(tmp_path)) == [("mpg", "1.10", "mpg/1.10/model.rds"), ("mpg", "1.9", "mpg/1.9/model.rds")]


def test_a_model_may_have_a_folder_of_its_own_without_a_version(tmp_path: Path) -> None:
    write(tmp_path / "mpg" / "model.rds")
    write(tmp_path / "mpg" / "2" / "model.rds")
    assert found(tmp_path) == [("mpg", None, "mpg/model.rds"), ("mpg", "2", "mpg/2/model.rds")]
    [bare, _] = candidates(tmp_path, R_FILES)
    assert bare.sidecar == tmp_path / "mpg" / "model.yaml"


@pytest.mark.parametrize("name", ["mpg.RDS", "mpg.Rds", "mpg.rDs"])
def test_an_ending_may_be_in_capitals(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    assert found(tmp_path) == [("mpg", None, name)]
    [one] = candidates(tmp_path, R_FILES)
    assert one.sidecar == tmp_path / "mpg.yaml"


def test_a_compressed_file_has_the_name_before_both_endings(tmp_path: Path) -> None:
    write(tmp_path / "a.b.pkl.gz")
    [one] = candidates(tmp_path, PYTHON_FILES)
    assert (one.name, one.sidecar.name) == ("a.b", "a.b.yaml")


def test_what_lies_in_a_scripts_folder_is_no_model_of_its_own(tmp_path: Path) -> None:
    for name in ("a/score.py", "a/model.pkl", "a/weights/model.pkl"):
        write(tmp_path / name)
    assert [c.path.name for c in candidates(tmp_path, PYTHON_FILES)] == ["score.py"]


def test_of_two_model_files_in_a_folder_one_is_the_model(tmp_path: Path) -> None:
    for name in ("a/model.pkl", "a/model.joblib"):
        write(tmp_path / name)
    assert [c.path.name for c in candidates(tmp_path, PYTHON_FILES)] == ["model.joblib"]


@pytest.mark.parametrize(
    ("name", "runtime"),
    [
        ("a.joblib", "python"),
        ("a.pkl", "python"),
        ("a.PKL", "python"),
        ("a.pickle", "python"),
        ("a.sav", "python"),
        ("a.pkl.gz", "python"),
        ("a.joblib.xz", "python"),
        ("a/model.pkl", "python"),
        ("a/1/model.pkl.gz", "python"),
        ("a.skops", "python"),
        ("a.onnx", "python"),
        ("a.json", "python"),
        ("a.UBJ", "python"),
        ("a/model.cbm", "python"),
        ("a.pt2", "torch"),
        ("a.pt", "torch"),
        ("a/1/model.pt2", "torch"),
        ("a/score.py", "script"),
        ("a/1/score.py", "script"),
    ],
)
def test_a_files_ending_says_which_runtime_it_is_for(tmp_path: Path, name: str, runtime: str) -> None:
    write(tmp_path / name)
    [one] = candidates(tmp_path, PYTHON_FILES)
    assert (one.name, one.runtime) == ("a", runtime)


def test_the_r_folder_holds_no_python_models_and_the_other_way_round(tmp_path: Path) -> None:
    write(tmp_path / "a.joblib")
    write(tmp_path / "b.rds")
    assert [c.name for c in candidates(tmp_path, R_FILES)] == ["b"]
    assert [c.name for c in candidates(tmp_path, PYTHON_FILES)] == ["a"]


def test_other_files_are_not_models(tmp_path: Path) -> None:
    for name in (
        "mpg.yaml",
        "README.md",
        "mpg.rds.part",
        "mpg/mpg.rds",
        "mpg/1/other.rds",
        "a/b/c/model.rds",
    ):
        write(tmp_path / name)
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    [".hidden", "-x", "a b", "ä", "a" * 101, "_x", "a\nb", "a\rb", 'a"b', "a'b", "a%2fb", "<b>", "a;b", "a?b"],
)
def test_a_name_that_is_unfit_for_a_path_is_left_alone(tmp_path: Path, name: str) -> None:
    write(tmp_path / f"{name}.rds")
    write(tmp_path / "mpg" / name / "model.rds")
    assert found(tmp_path) == []


def test_a_folder_that_is_missing_or_is_a_file_has_no_models(tmp_path: Path) -> None:
    assert candidates(tmp_path / "nowhere", R_FILES) == []
    assert candidates(write(tmp_path / "file"), R_FILES) == []


def test_pipes_folders_and_dangling_links_with_a_models_name_are_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.rds")
    (tmp_path / "folder.rds").mkdir()
    (tmp_path / "link.rds").symlink_to(tmp_path / "nowhere.rds")
    assert found(tmp_path) == []


def test_a_link_to_a_file_is_a_model(tmp_path: Path) -> None:
    (tmp_path / "mpg.rds").symlink_to(write(tmp_path / "elsewhere" / "x.bin"))
    assert found(tmp_path) == [("mpg", None, "mpg.rds")]


# Naming


def test_a_bare_files_version_is_its_digest(tmp_path: Path) -> None:
    write(tmp_path / "mpg.rds", b"bytes")
    file = identified(tmp_path)
    digest = hashlib.sha256(b"bytes").hexdigest()[:12]
    assert (file.version, file.model_key) == (digest, f"mpg/{digest}/{digest}")
    assert (file.runtime, file.size_bytes, file.in_version_folder) == ("r", 5, False)
    assert file.path.is_absolute()


def test_in_a_version_folder_the_folder_is_the_version(tmp_path: Path) -> None:
    write(tmp_path / "mpg" / "1.10" / "model.rds", b"bytes")
    file = identified(tmp_path)
    assert (file.version, file.in_version_folder) == ("1.10", True)
    assert file.model_key == f"mpg/1.10/{hashlib.sha256(b'bytes').hexdigest()[:12]}"


def test_a_sidecar_changes_the_key_but_not_the_version(tmp_path: Path) -> None:
    write(tmp_path / "mpg.rds")
    keys = [identified(tmp_path)]
    for content in (b"description: a", b"description: b"):
        write(tmp_path / "mpg.yaml", content)
        keys.append(identified(tmp_path))
    assert len({file.model_key for file in keys}) == 3
    assert len({file.version for file in keys}) == 1


@pytest.mark.parametrize(
    ("file", "beside"),
    [
        ("churn.joblib", "churn.requirements.txt"),
        ("churn.pkl.gz", "churn.requirements.txt"),
        ("churn/model.joblib", "requirements.txt"),
        ("churn/2/model.pkl", "requirements.txt"),
        ("churn/score.py", "requirements.txt"),
    ],
)
def test_requirements_beside_a_python_model_are_part_of_it(tmp_path: Path, file: str, beside: str) -> None:
    path = write(tmp_path / file)
    requirements = path.with_name(beside)

    def now() -> ModelFile:
        [one] = candidates(tmp_path, PYTHON_FILES)
        assert (beside in one.parts) == requirements.exists()
        return identify(one)

    without = now()
    assert without.requirements is None
    write(requirements, b"shade==1.0")
    first = now()
    assert first.requirements == requirements
    assert not unchanged(without)
    write(requirements, b"shade==2.0")
    assert len({without.model_key, first.model_key, now().model_key}) == 3
    assert (now().version == without.version) == (file != "churn/score.py")


def test_requirements_beside_a_model_of_r_say_nothing(tmp_path: Path) -> None:
    write(tmp_path / "mpg.rds")
    before = identified(tmp_path)
    write(tmp_path / "mpg.requirements.txt")
    assert identified(tmp_path).model_key == before.model_key
    assert identified(tmp_path).requirements is None


def test_the_sidecar_of_a_version_is_in_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "mpg" / "1" / "model.rds")
    before = identified(tmp_path)
    write(tmp_path / "mpg" / "1" / "model.yaml")
    assert identified(tmp_path).model_key != before.model_key
    assert identified(tmp_path).sidecar == tmp_path / "mpg" / "1" / "model.yaml"


def test_a_sidecar_that_is_a_pipe_is_not_opened(tmp_path: Path) -> None:
    write(tmp_path / "mpg.rds")
    before = identified(tmp_path)
    os.mkfifo(tmp_path / "mpg.yaml")
    assert identified(tmp_path).model_key == before.model_key


def test_a_file_that_has_gone_meanwhile_is_an_os_error(tmp_path: Path) -> None:
    write(tmp_path / "mpg.rds")
    [one] = candidates(tmp_path, R_FILES)
    one.path.unlink()
    with pytest.raises(OSError):
        identify(one)


def test_what_was_written_last_tells_when_a_model_was_modified(tmp_path: Path) -> None:
    write(tmp_path / "mpg.rds", modified=LONG_AGO)
    assert identified(tmp_path).modified == LONG_AGO
    write(tmp_path / "mpg.yaml", modified=LONG_AGO + 5)
    assert identified(tmp_path).modified == LONG_AGO + 5


@pytest.mark.parametrize("change", ["content", "time", "file", "sidecar", "no sidecar", "signature"])
def test_every_change_shows_in_the_stamp(tmp_path: Path, change: str) -> None:
    model = write(tmp_path / "mpg.rds", b"12345", LONG_AGO)
    sidecar = write(tmp_path / "mpg.yaml", b"a: 1", LONG_AGO)
    [before] = candidates(tmp_path, R_FILES)
    match change:
        case "content":
            write(model, b"123456", LONG_AGO)
        case "time":
            write(model, b"12345", LONG_AGO + 1)
        case "file":
            write(tmp_path / "new", b"12345", LONG_AGO).rename(model)
        case "sidecar":
            write(sidecar, b"a: 22", LONG_AGO)
        case "no sidecar":
            sidecar.unlink()
        case "signature":
            write(tmp_path / "mpg.rds.sig")
    [after] = candidates(tmp_path, R_FILES)
    assert after.stamp != before.stamp


def test_a_file_in_a_scripts_folder_whose_name_is_not_text_is_a_part_like_any_other(tmp_path: Path) -> None:
    folder = write(tmp_path / "faq" / "score.R").parent
    before = identified(tmp_path, "faq").version
    write(Path(os.fsdecode(os.fsencode(folder) + b"/\xff.csv")))
    assert identified(tmp_path, "faq").version != before


@pytest.mark.parametrize("part", ["mpg.rds", "mpg.yaml", "faq/notes.txt", "faq/score.R"])
def test_a_part_that_is_a_link_out_of_the_model_folder_is_not_read(tmp_path: Path, part: str) -> None:
    """A digest of a file is an oracle for what is in it."""
    folder = tmp_path / "models"
    write(folder / "mpg.rds")
    write(folder / "faq" / "score.R")
    secret = write(tmp_path / "secret", modified=LONG_AGO)
    name = "faq" if part.startswith("faq") else "mpg"
    [before] = [one for one in candidates(folder, R_FILES) if one.name == name]
    (folder / part).unlink(missing_ok=True)
    (folder / part).symlink_to(secret)
    with pytest.raises(Unopened, match="leads out of the model folder"):
        identify(before)
    assert not unchanged(replace(identified(folder, "faq" if name == "mpg" else "mpg"), path=folder / part))
    left = [one for one in candidates(folder, R_FILES) if one.name == name]
    assert bool(left) == (part not in ("mpg.rds", "faq/score.R"))
    assert all(secret.stat().st_mtime_ns not in one.stamp for one in left)


def test_a_folder_of_links_as_kubernetes_makes_them_is_read(tmp_path: Path) -> None:
    write(tmp_path / "..2026_11_29" / "mpg.rds")
    write(tmp_path / "..2026_11_29" / "mpg.yaml", b"description: cars")
    (tmp_path / "..data").symlink_to("..2026_11_29")
    for name in ("mpg.rds", "mpg.yaml"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    assert found(tmp_path) == [("mpg", None, "mpg.rds")]
    assert identified(tmp_path).version == hashlib.sha256(b"model").hexdigest()[:12]


# Signatures


def test_a_signature_is_no_model_and_no_part_of_one(tmp_path: Path) -> None:
    """With signatures off, signing a model changes nothing of what serves."""
    write(tmp_path / "mpg.rds", modified=LONG_AGO)
    write(tmp_path / "faq" / "score.R", modified=LONG_AGO)
    before = {name: identified(tmp_path, name) for name in ("mpg", "faq")}
    write(tmp_path / "mpg.rds.sig")
    write(tmp_path / "faq" / "score.R.sig")
    assert {name: identified(tmp_path, name) for name in ("mpg", "faq")} == before
    assert sorted(found(tmp_path)) == [("faq", None, "faq/score.R"), ("mpg", None, "mpg.rds")]


def test_who_looks_at_signatures_has_them_in_the_key(tmp_path: Path) -> None:
    write(tmp_path / "mpg.rds")
    [model] = candidates(tmp_path, R_FILES)
    assert signature_of(model.path) == write(tmp_path / "mpg.rds.sig", b"one")
    keys = {identify(model).model_key, identify(model, signature_of(model.path)).model_key}
    write(tmp_path / "mpg.rds.sig", b"two")
    keys.add(identify(model, signature_of(model.path)).model_key)
    assert len(keys) == 3


# One model by its path


@pytest.mark.parametrize(
    ("file", "name", "version", "sidecar"),
    [
        ("mpg.rds", "mpg", None, "mpg.yaml"),
        ("mpg/3/model.rds", "mpg", "3", "mpg/3/model.yaml"),
        ("faq/score.py", "faq", None, "faq/model.yaml"),
    ],
)
def test_a_path_is_the_model_it_would_be_in_a_folder_of_models(
    tmp_path: Path, file: str, name: str, version: str | None, sidecar: str
) -> None:
    path = write(tmp_path / file)
    one = candidate_at(path)
    assert one in candidates(tmp_path, R_FILES) + candidates(tmp_path, PYTHON_FILES)
    assert one is not None
    assert (one.name, one.version, one.sidecar) == (name, version, tmp_path / sidecar)
    if path.parent != tmp_path:
        assert candidate_at(path.parent) == one


@pytest.mark.parametrize("file", ["none.rds", "mpg.yaml", "mpg.rds.sig", "."])
def test_what_is_no_model_is_none(tmp_path: Path, file: str) -> None:
    for name in ("mpg.rds", "mpg.yaml", "mpg.rds.sig"):
        write(tmp_path / name)
    assert candidate_at(tmp_path / file) is None


def test_a_file_that_was_touched_since_it_was_identified_is_not_what_its_key_was_made_from(tmp_path: Path) -> None:
    model, sidecar = write(tmp_path / "mpg.rds"), tmp_path / "mpg.yaml"
    before = identified(tmp_path)
    assert unchanged(before)
    write(sidecar)
    assert (unchanged(before), identified_again(before)) == (False, None)
    sidecar.unlink()
    assert unchanged(before)
    write(tmp_path / "new").rename(model)
    assert not unchanged(before)
    again = identified_again(before)
    assert again is not None
    assert (again, unchanged(again)) == (replace(before, modified=again.modified), True)
    write(tmp_path / "new", b"other").rename(model)
    assert (unchanged(again), identified_again(again)) == (False, None)
    model.unlink()
    assert (unchanged(again), identified_again(again)) == (False, None)


def test_a_version_and_a_script_are_identified_again_as_they_were(tmp_path: Path) -> None:
    write(tmp_path / "mpg" / "1.10" / "model.rds")
    write(tmp_path / "faq" / "score.R")
    for name in ("mpg", "faq"):
        before = identified(tmp_path, name)
        assert unchanged(before)
        assert identified_again(before) == before


def test_what_python_compiles_of_a_script_is_no_new_version(tmp_path: Path) -> None:
    write(tmp_path / "faq" / "score.py")
    before = candidates(tmp_path, PYTHON_FILES)
    write(tmp_path / "faq" / "__pycache__" / "helper.cpython-311.pyc")
    assert candidates(tmp_path, PYTHON_FILES) == before
    write(tmp_path / "faq" / "helper.py")
    assert candidates(tmp_path, PYTHON_FILES) != before
