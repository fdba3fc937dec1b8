"""The inputs of an estimator: its columns' names, and which are numbers, texts or categories."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from server.wire.schema import INPUT_TYPES
from server.workers.python import boosted
from server.workers.python.boosted import library
from server.workers.python.drafts import no_schema, with_categories
from server.workers.python.tree import attribute, first, is_text
from server.workers.stated_inputs import corrected, from_signature

TEXT = "text"
Facts = Mapping[str, Any]
"""What is known of a column: its type, its levels, the values that are allowed."""
DROPPED: Facts = {"dropped": True}
"""The facts of a column that no transformer takes."""


def named(model: Any) -> list[str] | None:
    """The columns of the data frame that the model was fitted on; None if it was fitted on something else."""
    for one in (model, first(model)):
        names = attribute(one, "feature_names_in_")
        if names is not None:
            return [str(name) for name in names]
        if (known := boosted.names(one)) is not None:
            return known
    return None


def categories(model: Any, names: Sequence[str]) -> boosted.Categories:
    """The columns that have to be pandas' Categorical, with their categories, where boosted trees take the columns."""
    for one in (model, first(model)):
        if found := boosted.categories(one, names):
            return found
    return {}


def of(
    model: Any, stated: Sequence[Mapping[str, Any]], signature: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """The inputs as they were found, with what MLflow's signature tells, corrected by what the sidecar states.

    Raises LoadFailed.
    """
    columns_told = [i for i in from_signature(signature) if i["type"] in INPUT_TYPES and i["type"] != "tensor"]
    if is_text(first(model)):
        name = columns_told[0]["name"] if [i["type"] for i in columns_told] == ["string"] else TEXT
        return corrected([] if stated else [{"name": name, "type": "string"}], stated)
    names = named(model)
    width = next((n for one in (model, first(model)) if (n := _width(one))), None)
    if names is None and width is None:
        if not stated and not columns_told:
            raise no_schema(model)
        return corrected(columns_told, stated)
    known = names or [f"x{i}" for i in range(width or 0)]
    about = columns(model, known)
    if names is None and len(columns_told) == len(known):
        known = [str(i["name"]) for i in columns_told]
    if names is None and len(stated) == len(known) and not {i["name"] for i in stated} & set(known):
        known = [str(i["name"]) for i in stated]  # the sidecar knows the names, in the model's order
    found = [
        {"name": name, "type": "numeric"} | dict(facts)
        for name, facts in zip(known, about, strict=True)
        if facts != DROPPED
    ]
    return with_categories(corrected(_as_told(found, columns_told), stated))


def _as_told(found: Sequence[dict[str, Any]], columns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The inputs that were found, with the types of the signature.

    Where the model knows the values that it takes, these count.
    """
    by_name = {one["name"]: one for one in columns}
    both = []
    for one in found:
        more = dict(by_name.get(one["name"], {}))
        if one.get("levels") or one.get("allowed") or one["type"] in ("factor", "ordered"):
            more.pop("type", None)
        both.append(one | more)
    return both


def _width(model: Any) -> int | None:
    width = attribute(model, "n_features_in_") or boosted.width(model)
    return int(width) if width else None


def columns(model: Any, names: Sequence[str]) -> list[Facts]:
    """What a model's parts tell about each column; nothing where they do not tell."""
    nothing: list[Facts] = [{} for _ in names]
    if isinstance(model, Pipeline):
        return _chained([step for _, step in model.steps], names)
    if isinstance(model, ColumnTransformer):
        return _by_column(model, names)
    if isinstance(model, FeatureUnion):
        return _merged([columns(part, names) for _, part in model.transformer_list if not isinstance(part, str)], names)
    if is_text(model):
        return [{"type": "string"} for _ in names]
    fitted = getattr(model, "categories_", None)
    if isinstance(fitted, list) and len(fitted) == len(names):
        return [_category(levels, getattr(model, "handle_unknown", None)) for levels in fitted]
    statistics = getattr(model, "statistics_", None)
    if isinstance(statistics, np.ndarray) and statistics.dtype == object and len(statistics) == len(names):
        return [{"type": "string"} for _ in names]  # SimpleImputer
    known: list[Facts] | None = boosted.facts(model, names)
    if library(model) == "category_encoders":
        known = [_encoded(model, name) for name in names]
    if known is not None:
        return known
    inner = getattr(model, "_preprocessor", None) or first(model)  # of histogram gradient boosting
    if inner is model or isinstance(inner, str):
        return nothing
    return columns(inner, names) if len(names) == getattr(inner, "n_features_in_", len(names)) else nothing


def _chained(steps: Sequence[Any], names: Sequence[str]) -> list[Facts]:
    """What the first step tells that tells anything, as long as those before it keep the columns apart and in order."""
    merged: list[Facts] = [{} for _ in names]
    for step in steps:
        if step is None or step == "passthrough":
            continue
        if getattr(step, "n_features_in_", len(names)) != len(names):
            break
        known = columns(step, names)
        merged = [t if t == DROPPED else {**t, **m} for t, m in zip(known, merged, strict=True)]
        if isinstance(step, ColumnTransformer | FeatureUnion) or not hasattr(step, "transform"):
            break
    return merged


def _by_column(model: ColumnTransformer, names: Sequence[str]) -> list[Facts]:
    """What each transformer tells of its own columns. A column that no transformer takes is not needed."""
    known: list[Facts] = [DROPPED for _ in names]
    for name, part, where in model.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        positions = [int(i) for i in np.atleast_1d(model._transformer_to_input_indices[name])]
        own = [names[i] for i in positions]
        if isinstance(part, str):
            facts: list[Facts] = [{} for _ in own]
        elif isinstance(where, str | int) and is_text(first(part)):
            facts = [{"type": "string"}]
        else:
            facts = columns(part, own)
        for i, one in zip(positions, facts, strict=True):
            known[i] = {**one, **({} if known[i] == DROPPED else known[i])}
    return known


def _merged(several: Sequence[Sequence[Facts]], names: Sequence[str]) -> list[Facts]:
    """All that several parts tell of each column. It is dropped only if none of them takes it."""
    known: list[Facts] = []
    for column in zip(*several, strict=True):
        kept = [facts for facts in column if facts != DROPPED]
        known.append({k: v for facts in kept for k, v in facts.items()} if kept else DROPPED)
    return known or [{} for _ in names]


def _encoded(encoder: Any, name: str) -> Facts:
    """What an encoder of category_encoders tells of its columns: texts, unless it knows otherwise."""
    if name not in [str(column) for column in attribute(encoder, "cols") or ()]:
        return {}
    mapping = attribute(attribute(encoder, "ordinal_encoder") or encoder, "mapping")
    if isinstance(mapping, list):  # [{col, mapping: a series by value, data_type}]
        mapping = {str(one["col"]): one["mapping"] for one in mapping}
    known = attribute(mapping.get(name) if isinstance(mapping, dict) else None, "index")
    return {"type": "string"} if known is None else _category(known, attribute(encoder, "handle_unknown"))


def _category(levels: Any, handle_unknown: str | None) -> Facts:
    """What an encoder tells of a column: it takes these levels alone, unless the encoder bears unknown ones."""
    known = [v for v in np.asarray(levels).tolist() if v is not None and v == v]
    closed = handle_unknown == "error"
    if known and all(isinstance(v, bool) for v in known):
        return {"type": "logical"}
    if known and all(isinstance(v, int | float) for v in known):
        finite = [float(v) for v in known if math.isfinite(v)]
        return {"type": "numeric", **({"allowed": finite} if closed else {})}
    if all(isinstance(v, str) for v in known):
        return {"type": "string", **({"levels": known} if closed and known else {})}
    return {"type": "string"}
