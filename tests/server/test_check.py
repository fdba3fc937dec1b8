"""`tandem check`: what the process that looks at a file may read beside it."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path

import pytest

from server.check import Verdict, check, each
from server.config import Settings
from server.machine import sandbox
from tests.server.pools.test_isolation import Source

pytestmark = pytest.mark.skipif(not sandbox.available().full, reason=f"the kernel here offers {sandbox.available()}")

READS = """
def reads(path):
    try:
        open(path).close()
    except OSError:
        return False
    return True
"""


def checked(file: Path) -> Verdict:
    return asyncio.run(check(file, Settings(data=file.parent / "data")))


@pytest.fixture
def neighbour(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.txt").write_text("private")
    return tmp_path / "neighbour.txt"


def test_a_file_that_is_checked_reads_nothing_of_the_folder_that_it_lies_in(neighbour: Path) -> None:
    """Regression: a file from the mail, checked in the home folder, read all of that."""
    model = f"""{READS}
if reads({str(neighbour)!r}):
    raise RuntimeError("the neighbour was read")

class Model:
    n_features_in_ = 1
    def predict(self, X):
        return [1.0] * len(X)
"""
    file = neighbour.with_name("model.pkl")
    file.write_bytes(pickle.dumps(Source(model)))
    file.with_suffix(".yaml").write_text("description: one that looks around\n")
    verdict = checked(file)
    assert verdict.accepted, verdict.text


def test_a_script_that_is_checked_reads_its_own_folder_and_none_beside_it(neighbour: Path) -> None:
    folder = neighbour.with_name("script")
    folder.mkdir()
    (folder / "beside.txt").write_text("its own")
    (folder / "score.py").write_text(f"""{READS}
def init():
    if reads({str(neighbour)!r}) or not reads({str(folder / "beside.txt")!r}):
        raise RuntimeError("wrong files were read")

def run(raw_data):
    return 1
""")
    for path in (folder, folder / "score.py"):
        verdict = checked(path)
        assert verdict.accepted, verdict.text


def test_a_folder_of_models_is_checked_one_by_one_with_what_is_not_served_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    (folder / "script").mkdir(parents=True)
    for name in ("b.rds", "a.joblib", "c.h5", "notes.md", "script/score.py", "script/helper.py"):
        (folder / name).write_bytes(b"anything")
    settings = Settings(data=tmp_path / "data", r_models=folder)
    elsewhere = Settings(data=tmp_path / "data")
    for given in (settings, elsewhere):  # as the folder of R's models, where Python's are told that they are wrong
        assert [path.name for path in each([folder], given)] == ["a.joblib", "b.rds", "c.h5", "score.py"]
    (tmp_path / "empty").mkdir()
    alone = [folder / "script", folder / "c.h5", tmp_path / "missing", tmp_path / "empty"]
    assert list(each(alone, elsewhere)) == alone
