"""Model files in a library's own format: XGBoost's, LightGBM's and CatBoost's. Reading them runs no code.

Each becomes the estimator that it was saved from, where the file tells; a booster alone answers what its own predict
does. XGBoost's and LightGBM's share endings, so their beginning says which it is.
"""

from __future__ import annotations

import importlib
import mmap
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from server.workers.errors import LoadFailed

_BEGINNING = 256
_LABELS = ("Logloss", "CrossEntropy", "MultiClass", "MultiClassOneVsAll", "MultiLogloss", "MultiCrossEntropy")
"""CatBoost's names of the losses whose models answer with classes."""


def reader(path: Path, threads: int) -> Callable[[], Any] | None:
    """A function that reads a file with this ending; None if no library has this ending for its own."""
    read = _READERS.get(path.suffix.lower())
    return None if read is None else lambda: read(path, threads)


def _boosted(path: Path, threads: int) -> Any:
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
    if beginning.splitlines()[:1] == [b"tree"]:
        return _lightgbm(path)
    if b'"learner"' in beginning or b"learner" in beginning[:32]:
        return _xgboost(path, threads)
    raise LoadFailed("not_served", _neither(path, beginning))


def _lightgbm(path: Path) -> Any:
    lightgbm = importlib.import_module("lightgbm")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        parameters = text.rfind(b"\nparameters:")
        end = b"\nend of trees" if parameters < 0 else b"\nend of parameters"
        whole = text.find(end, max(0, parameters)) >= 0
    if not whole:  # LightGBM would end the process
        raise LoadFailed("unreadable", _cut(lightgbm, "save_model"))
    try:
        return lightgbm.Booster(model_file=path)
    except Exception as e:
        raise LoadFailed("unreadable", _cut(lightgbm, "save_model")) from e


def _xgboost(path: Path, threads: int) -> Any:
    xgboost = importlib.import_module("xgboost")
    content = bytearray(path.read_bytes())  # of a file XGBoost goes by the ending, of bytes by what they are
    if not content.rstrip().endswith(b"}"):  # XGBoost would crash
        raise LoadFailed("unreadable", _cut(xgboost, "save_model"))
    try:
        return _of_booster(xgboost.Booster(model_file=content), content, threads)
    except Exception as e:  # with a trace of the stack and paths in its text
        raise LoadFailed("unreadable", _cut(xgboost, "save_model")) from e


def _of_booster(booster: Any, content: bytearray, threads: int) -> Any:
    """The estimator that a booster was saved from, or one that answers what the booster does."""
    xgboost = importlib.import_module("xgboost")
    kinds = {"classifier": xgboost.XGBClassifier, "ranker": xgboost.XGBRanker}
    saved_from = orjson.loads(booster.attr("scikit_learn") or "{}").get("_estimator_type")
    model = kinds.get(saved_from, xgboost.XGBRegressor)(n_jobs=threads)
    model.load_model(content)
    return model


def that_takes_rows(found: Any, threads: int) -> Any:
    """The model that was read. XGBoost's Booster, whose predict takes only its own matrices, becomes an estimator."""
    if (type(found).__module__, type(found).__name__) != ("xgboost.core", "Booster"):
        return found
    return _of_booster(found, found.save_raw("ubj"), threads)


def _neither(path: Path, beginning: bytes) -> str:
    text = beginning.lstrip()
    if text.startswith(b"[") and b'"nodeid"' in text:
        return "dump_model() wrote this file, and nothing reads it back; write it with save_model()"
    if re.match(rb'\{\s*"name"\s*:\s*"tree"', text):
        return "LightGBM's dump_model() wrote this file, and nothing reads it back; write NAME.txt with save_model()"
    if text.startswith(b"{") and b'"features_info"' in text:
        return "this is CatBoost's .json, which keeps less than its own format; write NAME.cbm with save_model()"
    if beginning.startswith((b"binf", b"bs64")) or b"\0\0reg:" in beginning or b"\0binary:" in beginning:
        return (
            "this is XGBoost's old binary format, which newer releases do not read; read it with the release that "
            "wrote it, and write NAME.ubj with save_model()"
        )
    kinds = "XGBoost's" if path.suffix.lower() in (".json", ".ubj") else "XGBoost's or LightGBM's"
    return (
        f"a {path.suffix} file is served if {kinds} save_model() wrote it, and this one is something else; keep what "
        "is no model elsewhere, or in a folder called train"
    )


def _catboost(path: Path, threads: int) -> Any:
    catboost = importlib.import_module("catboost")
    try:
        found = catboost.CatBoost()
        found.load_model(path)
        loss = str(found.get_all_params().get("loss_function", "")).partition(":")[0]
        model = (catboost.CatBoostClassifier if loss in _LABELS else catboost.CatBoostRegressor)(thread_count=threads)
        model.load_model(path)
    except Exception as e:
        raise LoadFailed("unreadable", _cut(catboost, "save_model")) from e
    return model


def _cut(library: Any, method: str) -> str:
    return (
        f"the file is cut short, or it was written by a newer release than {library.__name__} {library.__version__}, "
        f"which is here, or by something else; copy all of it, or write it again with {method}()"
    )


_READERS: Mapping[str, Callable[[Path, int], Any]] = {
    **dict.fromkeys((".json", ".ubj", ".txt", ".xgb", ".lgb", ".bst", ".model"), _boosted),
    **dict.fromkeys((".cbm", ".cb"), _catboost),  # the second by MLflow
}
