"""Model files in a library's own format: XGBoost's `.json` and `.ubj`, CatBoost's `.cbm`. Reading them runs no code.

Each becomes the estimator that it was saved from; a booster alone answers what its own predict does.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from server.workers.runtime import LoadFailed

_BEGINNING = 256
_LABELS = ("Logloss", "CrossEntropy", "MultiClass", "MultiClassOneVsAll", "MultiLogloss", "MultiCrossEntropy")
"""CatBoost's losses of models that answer with classes."""


def reader(path: Path, threads: int) -> Callable[[], Any] | None:
    """What reads a file with this ending; None if no library has it for its own."""
    read = _READERS.get(path.suffix.lower())
    return None if read is None else lambda: read(path, threads)


def _xgboost(path: Path, threads: int) -> Any:
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
        file.seek(max(0, path.stat().st_size - _BEGINNING))
        whole = file.read().rstrip().endswith(b"}")
    if b'"learner"' not in beginning and b"learner" not in beginning[:32]:
        raise LoadFailed("not_served", _no_xgboost(path, beginning))
    xgboost = importlib.import_module("xgboost")
    kinds = {"classifier": xgboost.XGBClassifier, "ranker": xgboost.XGBRanker}
    if not whole:  # XGBoost would crash
        raise LoadFailed("unreadable", _cut(xgboost, "save_model"))
    try:
        booster = xgboost.Booster(model_file=path)
        saved_from = orjson.loads(booster.attr("scikit_learn") or "{}").get("_estimator_type")
        model = kinds.get(saved_from, xgboost.XGBRegressor)(n_jobs=threads)
        model.load_model(path)
    except Exception as e:  # with a trace of the stack and paths in its text
        raise LoadFailed("unreadable", _cut(xgboost, "save_model")) from e
    return model


def _no_xgboost(path: Path, beginning: bytes) -> str:
    text = beginning.lstrip()
    if text.startswith(b"[") and b'"nodeid"' in text:
        return "dump_model() wrote this file, and nothing reads it back; write it with save_model()"
    if text.startswith(b"{") and b'"features_info"' in text:
        return "this is CatBoost's .json, which keeps less than its own format; write NAME.cbm with save_model()"
    return (
        f"a {path.suffix} file is served if XGBoost's save_model() wrote it, and this one is something else; keep what "
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
        f"which is here; copy all of it, or write it again with {method}()"
    )


_READERS: Mapping[str, Callable[[Path, int], Any]] = {".json": _xgboost, ".ubj": _xgboost, ".cbm": _catboost}
