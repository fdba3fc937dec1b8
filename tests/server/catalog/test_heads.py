"""What a file's first bytes tell: no model that can be read is refused by them, and what is none needs no process."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

import joblib
import pytest
from sklearn.linear_model import LinearRegression

from server.catalog.files import PYTHON_FILES, R_FILES, candidates, identify
from server.catalog.heads import HEADS, no_model
from tests.harness.tandem import ROOT, run_r

MODEL = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])


def told(path: Path) -> str | None:
    [found] = candidates(path.parent, {**R_FILES, **PYTHON_FILES})
    return no_model(identify(found))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("ending", [".pkl", ".pickle", ".sav", ".joblib"])
def test_a_pickle_of_any_protocol_is_read(tmp_path: Path, protocol: int, ending: str) -> None:
    for model in (MODEL, [MODEL], {"model": MODEL}, (MODEL,)):
        (tmp_path / f"m{ending}").write_bytes(pickle.dumps(model, protocol=protocol))
        assert told(tmp_path / f"m{ending}") is None


@pytest.mark.parametrize("compress", ["zlib", "gzip", "bz2", "lzma", "xz", "lz4"])
def test_what_joblib_compresses_is_read(tmp_path: Path, compress: str) -> None:
    if compress == "lz4":
        (tmp_path / "m.joblib").write_bytes(b"\x04\x22\x4d\x18 and more")  # lz4 itself need not be here
    else:
        joblib.dump(MODEL, tmp_path / "m.joblib", compress=(compress, 3))
    assert told(tmp_path / "m.joblib") is None


def test_whatever_r_writes_is_read(tmp_path: Path) -> None:
    run_r(
        """
        folder <- commandArgs(TRUE)[[1]]
        model <- lm(dist ~ speed, cars)
        for (how in c("gzip", "bzip2", "xz")) saveRDS(model, file.path(folder, paste0(how, ".rds")), compress = how)
        saveRDS(model, file.path(folder, "plain.rds"), compress = FALSE)
        saveRDS(model, file.path(folder, "text.rds"), compress = FALSE, ascii = TRUE)
        saveRDS(model, file.path(folder, "hex.rds"), compress = FALSE, ascii = NA)
        saveRDS(model, file.path(folder, "old.rds"), compress = FALSE, version = 2)
        native <- serialize(model, NULL, xdr = FALSE)
        writeBin(native, file.path(folder, "native.rds"))
        for (how in c("gzip", "bzip2", "xz")) save(model, file = file.path(folder, paste0(how, ".rda")), compress = how)
        save(model, file = file.path(folder, "plain.RData"), compress = FALSE)
        save(model, file = file.path(folder, "text.RData"), compress = FALSE, ascii = TRUE)
        """,
        str(tmp_path),
    )
    files = [identify(one) for one in candidates(tmp_path, R_FILES)]
    assert len(files) == 13
    assert {file.path.name: no_model(file) for file in files} == {file.path.name: None for file in files}


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zlib.compress])
def test_what_is_only_packed_is_left_to_whoever_unpacks_it(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "m.pkl").write_bytes(pack(b"no model at all"))
    assert told(tmp_path / "m.pkl") is None


def test_all_example_models_are_read() -> None:
    for folder, kinds in ((ROOT / "r_models", R_FILES), (ROOT / "python_models", PYTHON_FILES)):
        found = [no_model(identify(one)) for one in candidates(folder, kinds)]
        assert found == [None] * len(found)


@pytest.mark.parametrize("ending", HEADS)
@pytest.mark.parametrize("content", [b"", b"no model, though long enough for one", b"<!DOCTYPE html>", b"\0" * 30])
def test_junk_is_refused_with_what_to_do(tmp_path: Path, ending: str, content: bytes) -> None:
    (tmp_path / f"m{ending}").write_bytes(content)
    reason = told(tmp_path / f"m{ending}")
    assert reason is not None
    assert any(cure in reason for cure in ("saveRDS(model, file)", "write it again", "save the model again", "export"))


@pytest.mark.parametrize("ending", HEADS)
def test_a_pointer_of_git_lfs_is_called_one(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"m{ending}").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    assert "git lfs pull" in str(told(tmp_path / f"m{ending}"))


@pytest.mark.parametrize("name", ["m.txt", "m.json", "m.ubj", "m.pt", "m.pkl.gz"])
def test_other_files_may_begin_as_they_like(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"tree\nno model")
    assert told(tmp_path / name) is None
