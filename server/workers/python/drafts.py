"""Refusals for want of a schema, each with the lines of the sidecar to begin with, from what names the model has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from server.workers.errors import LoadFailed
from server.workers.python.tree import attribute, estimators

MAX_COLUMNS = 200

_ANY = """the model does not say what columns it needs; say it in the sidecar:
schema:
  inputs:
    - {name: age, type: numeric}
    - {name: region, type: string, levels: [north, south]}"""
_NAMED = """the model does not say what columns it needs, but it has these names; write the right ones, with their \
types, in the sidecar:
schema:
  inputs:
"""
_NO_CATEGORIES = """the model does not keep the categories of {names}; list them in the sidecar, in the order in \
which pandas had them (frame['{first}'].cat.categories):
schema:
  inputs:
{lines}"""
_NAMES = (
    "feature_names_in_",
    "feature_names_",
    "feature_names",
    "feature_name",
    "feature_columns",
    "features",
    "columns",
)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")


def no_schema(model: Any) -> LoadFailed:
    """The refusal of a model that does not tell its inputs, or that has never been fitted."""
    if _never_fitted(model):
        return LoadFailed("predict_fails", "the model was never fitted; call its fit() before you save it")
    names = _names(model)
    if not names:
        return LoadFailed("no_schema", _ANY)
    lines = [f"    - {{name: {written(name)}, type: numeric}}" for name in names[:MAX_COLUMNS]]
    more = [f"    # and {len(names) - MAX_COLUMNS} more"] if len(names) > MAX_COLUMNS else []
    return LoadFailed("no_schema", _NAMED + "\n".join(lines + more))


def with_categories(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The inputs, if each category has its levels, which XGBoost before 3.1 does not keep.

    Raises LoadFailed with a draft.
    """
    lacking = [str(i["name"]) for i in found if i["type"] == "factor" and not i.get("levels")]
    if lacking:
        quoted = ", ".join(f"'{name}'" for name in lacking)
        lines = "\n".join(f"    - {{name: {written(name)}, type: factor, levels: [...]}}" for name in lacking)
        raise LoadFailed("no_schema", _NO_CATEGORIES.format(names=quoted, first=lacking[0], lines=lines))
    return found


def written(name: str) -> str:
    """A column's name as YAML has it."""
    return name if _PLAIN.fullmatch(name) and name.lower() not in _WORDS else orjson.dumps(name).decode()


def _never_fitted(model: Any) -> bool:
    if not isinstance(model, BaseEstimator):
        return False
    try:
        check_is_fitted(model)
    except NotFittedError:
        return bool(
            vars(model).keys() <= model.get_params(deep=False).keys()
        )  # else fit() kept something, by its own names
    except Exception:  # what is no estimator after all
        return False
    return False


def _names(model: Any) -> list[str]:
    """Names of columns that are found somewhere in the model: in a part of it, or under a name that people use."""
    for one in (model, *estimators(model)):
        for kept in _NAMES:
            found = attribute(one, kept)
            if isinstance(found, Mapping) or not isinstance(found, Sequence) or isinstance(found, str):
                found = attribute(found, "tolist")() if attribute(found, "tolist") else None
            if isinstance(found, list | tuple) and found and all(isinstance(name, str) for name in found):
                return list(dict.fromkeys(found))
    return []
