"""The parameters of an MLflow signature: a request's options, and what predict() is given where it says none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_TYPES = {
    "double": "numeric",
    "float": "numeric",
    "integer": "integer",
    "long": "integer",
    "string": "string",
    "boolean": "logical",
}

Params = Sequence[Mapping[str, Any]]
"""Parameters as MLflow writes them: name, type, default, and a shape where a parameter is a list."""


def options(params: Params) -> list[dict[str, Any]]:
    """The options of a request: parameters that are single values of a known type.

    A list or a time keeps its default.
    """
    return [
        {"name": str(one["name"]), "type": _TYPES[one["type"]], "default": one.get("default")}
        for one in params
        if one.get("shape") is None and one.get("type") in _TYPES
    ]


def defaults(params: Params) -> dict[str, Any]:
    """The parameters' defaults, as the signature has them."""
    return {str(one["name"]): _default(one) for one in params}


def _default(one: Mapping[str, Any]) -> Any:
    value = one.get("default")
    return np.datetime64(value) if one.get("type") == "datetime" and isinstance(value, str) else value
