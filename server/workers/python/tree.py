"""The estimators inside an estimator: steps of pipelines, members of ensembles, what a search found best."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer

_INNER = ("best_estimator_", "regressor_", "estimator_", "final_estimator_")
_LISTS = ("estimators_", "calibrated_classifiers_")


def estimators(model: Any) -> Iterator[BaseEstimator]:
    """All estimators inside an estimator, the outermost first, each once."""
    seen: set[int] = set()
    waiting: list[Any] = [model]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, BaseEstimator) or type(one).__module__.startswith("sklearn."):
            if isinstance(one, BaseEstimator):
                yield one
            waiting.extend(getattr(one, "__dict__", {}).values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
        elif isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, np.ndarray) and one.dtype == object:
            waiting.extend(one.ravel().tolist())


def attribute(model: Any, name: str) -> Any:
    """An attribute of an object; None where there is none, or where it is a property that raises."""
    try:
        return getattr(model, name, None)
    except Exception:
        return None


def first(model: Any) -> Any:
    """The part of a model that sees the rows as they are sent."""
    while True:
        inner = _inner(model)
        if inner is None:
            return model
        model = inner


def _inner(model: Any) -> Any:
    if isinstance(model, Pipeline):
        return next((step for _, step in model.steps if step is not None and step != "passthrough"), None)
    if isinstance(model, FeatureUnion):
        parts = [part for _, part in model.transformer_list if part not in ("drop", "passthrough")]
        return parts[0] if parts and all(is_text(first(part)) for part in parts) else None
    for name in _INNER:
        inner = attribute(model, name)
        if isinstance(inner, BaseEstimator) and same_inputs(model, inner):
            return inner
    for name in _LISTS:
        members = attribute(model, name)
        member = members[0] if isinstance(members, list) and members else None
        member = getattr(member, "estimator", member) if name == "calibrated_classifiers_" else member
        if isinstance(member, BaseEstimator) and not _subsets(model) and same_inputs(model, member):
            return member
    return None


def same_inputs(outer: Any, inner: Any) -> bool:
    """Whether an inner estimator takes the columns that the outer one takes, as far as they know."""
    ours, theirs = attribute(outer, "n_features_in_"), attribute(inner, "n_features_in_")
    return ours is None or theirs is None or ours == theirs


def _subsets(model: Any) -> bool:
    """The columns of each member, where bagging gives each member a choice of its own."""
    return hasattr(model, "estimators_features_") and getattr(model, "max_features", 1.0) != 1.0


def is_text(model: Any) -> bool:
    """Whether a model takes one text for each row."""
    return isinstance(model, CountVectorizer | HashingVectorizer)


def needs_frame(model: Any) -> bool:
    """Whether a model that was fitted on a data frame may look at more than the values of its columns."""
    for one in estimators(model):
        if isinstance(one, ColumnTransformer | FunctionTransformer):
            return True
        if not type(one).__module__.startswith("sklearn.") or getattr(one, "_preprocessor", None) is not None:
            return True
        if getattr(one, "_sklearn_output_config", None):
            return True
    return not isinstance(model, BaseEstimator)


def forget_names(model: Any) -> None:
    """Have a model take arrays without a warning that they have no names."""
    for one in estimators(model):
        one.__dict__.pop("feature_names_in_", None)


def use_threads(model: Any, threads: int) -> None:
    """Let no part of a model start more threads than were granted, whatever it was fitted with."""
    for one in estimators(model):
        if one.__dict__.get("n_jobs") is not None:
            one.__dict__["n_jobs"] = threads
