"""The tensors of an MLflow signature: inputs, and a batch's columns as the arrays that predict() takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from server.wire.schema import Schema
from server.workers.python.feed import Feed, with_nan
from server.workers.table import Column
from server.workers.tensors import Tensor

UNNAMED = "input"
"""The name of the only input, where the signature has no name for it."""
_OF_ONE_NUMBER = {"b": "logical", "i": "integer", "u": "integer", "f": "numeric"}

Signature = Sequence[Mapping[str, Any]]


def are_told(signature: Signature) -> bool:
    """Whether a signature names tensors of numbers."""
    return bool(signature) and all(_is_of_numbers(one) for one in signature)


def _is_of_numbers(one: Mapping[str, Any]) -> bool:
    return (
        one["type"] == "tensor"
        and one.get("dtype") not in (None, "str", "object")
        and (np.dtype(one["dtype"]).kind in _OF_ONE_NUMBER)
    )


def inputs(signature: Signature) -> list[dict[str, Any]]:
    """The inputs of a row: a tensor for each, or one number where a row has no more."""
    return [
        {"name": _name(one), "type": "tensor", "shape": list(one["shape"]), "na": False}
        if one["shape"]
        else {"name": _name(one), "type": _OF_ONE_NUMBER[np.dtype(one["dtype"]).kind], "na": False}
        for one in signature
    ]


def feed(signature: Signature, schema: Schema) -> Feed:
    """A feed that hands rows over as MLflow does: as an array, or by name where the signature has names."""
    dtypes = {_name(one): np.dtype(one["dtype"]) for one in signature}
    unnamed = len(signature) == 1 and signature[0]["name"] is None

    def fed(columns: Sequence[Column], rows: int, single: bool) -> Any:
        arrays = {
            spec.name: _array(column).astype(dtypes[spec.name], copy=False)
            for spec, column in zip(schema.inputs, columns, strict=True)
        }
        return arrays[UNNAMED] if unnamed else arrays

    return fed


def _name(one: Mapping[str, Any]) -> str:
    return UNNAMED if one["name"] is None else str(one["name"])


def _array(column: Column) -> Any:
    if len(column) and isinstance(column[0], Tensor):
        cells = cast("Sequence[Tensor]", column)
        return np.stack([np.asarray(cell.values).reshape(cell.shape) for cell in cells])
    return with_nan(column)
