"""What boosted trees tell of their columns: LightGBM, XGBoost and CatBoost keep what pandas' columns were.

None of these libraries is imported here: a model that was read has brought its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from server.workers.python.tree import attribute

Categories = Mapping[str, Sequence[Any]]
"""The categories of pandas' Categorical that each column has to be, by column, in order."""


def library(model: Any) -> str:
    """The name of the package that a model's class comes from."""
    return type(model).__module__.partition(".")[0]


def names(model: Any) -> list[str] | None:
    """The columns that CatBoost, or a LightGBM booster alone, was fitted on. Mere numbers are those of an array."""
    found = attribute(model, "feature_names_") if library(model) == "catboost" else None
    if library(model) == "lightgbm" and attribute(model, "feature_name") is not None:
        found = model.feature_name()
    if not found or list(found) == [str(i) for i in range(len(found))]:
        return None
    return [str(name) for name in found]


def width(model: Any) -> int | None:
    """The number of columns that CatBoost was fitted on."""
    found = attribute(model, "feature_names_") if library(model) == "catboost" else None
    return len(found) if found else None


def categories(model: Any, known: Sequence[str]) -> Categories:
    """The categorical columns of LightGBM and XGBoost with their categories, in the model's order."""
    if library(model) == "lightgbm":
        return _of_lightgbm(attribute(model, "booster_") or model, known)
    if library(model) == "xgboost":
        return {name: levels for name, levels in _of_xgboost(_booster(model)).items() if levels is not None}
    return {}


def facts(model: Any, known: Sequence[str]) -> list[Mapping[str, Any]] | None:
    """What boosted trees know of each column; None for any other model."""
    if library(model) == "catboost":
        texts = {*(attribute(model, "get_cat_feature_indices") or list)(), *_text_columns(model)}
        return [{"type": "string"} if i in texts else {} for i in range(len(known))]
    if library(model) not in ("lightgbm", "xgboost"):
        return None
    found = categories(model, known)
    kinds: list[Mapping[str, Any]] = [_category(found[name]) if name in found else {} for name in known]
    types = attribute(_booster(model), "feature_types") if library(model) == "xgboost" else None
    for i, kind in enumerate(types or ()):
        if i < len(kinds) and not kinds[i]:
            kinds[i] = {"i": {"type": "logical"}, "c": {"type": "factor"}}.get(kind, {})
    return kinds


def _booster(model: Any) -> Any:
    found = attribute(model, "get_booster")
    return found() if found is not None else model


def _text_columns(model: Any) -> Sequence[int]:
    found = attribute(model, "get_text_feature_indices")
    return found() if found is not None else ()


def _of_lightgbm(booster: Any, known: Sequence[str]) -> Categories:
    """The categories of LightGBM.

    It keeps them without saying of which columns, and the numbers of the categorical columns.
    """
    levels = attribute(booster, "pandas_categorical") or []
    settings = attribute(booster, "params") or {}
    places = settings.get("categorical_column", settings.get("categorical_feature"))
    if not isinstance(places, list) or len(places) != len(levels):
        return {}
    at = sorted(known.index(place) if isinstance(place, str) else int(place) for place in places)
    return {known[i]: list(one) for i, one in zip(at, levels, strict=True) if i < len(known)}


def _of_xgboost(booster: Any) -> dict[str, Sequence[Any] | None]:
    """The categories of XGBoost, whose models keep them from version 3.1 on."""
    ask = attribute(booster, "get_categories")
    if ask is None:
        return {}
    try:
        found = ask(export_to_arrow=True).to_arrow()
    except Exception:  # not asked for in the same way by every version
        return {}
    return {str(name): None if levels is None else levels.to_pylist() for name, levels in found}


def _category(levels: Sequence[Any]) -> dict[str, Any]:
    """A column of pandas' categories: texts are its levels, and of numbers only these are allowed."""
    if all(isinstance(level, str) for level in levels):
        return {"type": "factor", "levels": list(levels)}
    if all(isinstance(level, bool) for level in levels):
        return {"type": "logical"}
    return {"type": "numeric", "allowed": [float(level) for level in levels]}
