"""Makes what a request asks for from a program's tensor: a ranking, a class, probabilities, numbers or nested lists."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from server.wire.models import TorchSettings
from server.wire.schema import Output
from server.workers.codecs.json import with_specials
from server.workers.errors import LoadFailed, ModelFailed
from server.workers.predictions import Predicted, Predictions
from server.workers.tensors import shape_told

MAX_COLUMNS = 64
"""The most numbers of a row that are named one by one, as an object. A row of more is an array."""


class Answers:
    """How the rows of one model's tensor become predictions. `shape` is that of one row."""

    def __init__(self, settings: TorchSettings, shape: Sequence[int], stated: Sequence[Mapping[str, Any]]) -> None:
        self._activation = settings.activation
        self._top_k = settings.top_k
        self._labels = _labels(settings, tuple(shape))
        self.outputs = self._classes() if self._labels else (self._response(tuple(shape), stated),)

    def _classes(self) -> tuple[Output, ...]:
        labels = self._labels
        return Output("top", "ranking"), Output("class", "label", labels), Output("prob", "columns", columns=labels)

    def _response(self, shape: tuple[int, ...], stated: Sequence[Mapping[str, Any]]) -> Output:
        if math.prod(shape) == 1 and len(shape) <= 1:
            return Output("response", "number")
        if len(shape) == 1 and shape[0] <= MAX_COLUMNS:
            return Output("response", "columns", columns=_columns(shape[0], stated))
        return Output("response", "tensor")

    def activated(self, rows: Tensor) -> Tensor:
        """The numbers after the activation that the sidecar asks for, in single precision at least."""
        rows = rows if rows.dtype == torch.float64 else rows.float()
        match self._activation:
            case "softmax" if rows.dim() > 1:
                return rows.softmax(1)
            case "sigmoid":
                return rows.sigmoid()
        return rows

    def predictions(self, parts: Sequence[Tensor], order: Sequence[int], output: str) -> Predictions:
        """The predictions of all rows, in their order. `order` holds the number of each row in `parts`."""
        kind = self.outputs[0].type
        if kind == "tensor":
            rows = [_nested(row) for part in parts for row in part.tolist()]
            return _one("object", [row for _, row in sorted(zip(order, rows, strict=True), key=lambda pair: pair[0])])
        try:
            joined = torch.cat([part.reshape(len(part), -1) for part in parts]).double()
        except RuntimeError as e:
            raise ModelFailed("the model's answers differ in their shape from row to row") from e
        values = torch.empty_like(joined)
        values[torch.tensor(order)] = joined
        if kind == "number":
            return _one("number", array("d", values[:, 0].tolist()))
        columns = self.outputs[0].columns
        if kind == "columns" and columns is not None:
            return _columns_of(values, columns)
        return self._classified(values, output)

    def _classified(self, values: Tensor, output: str) -> Predictions:
        labels = self._labels
        if values.shape[1] == 1:
            values = torch.cat([1 - values, values], 1)
        if values.shape[1] != len(labels):
            raise ModelFailed(f"the model gave {values.shape[1]} values a row for {len(labels)} labels")
        if output == "prob":
            return _columns_of(values, labels)
        if output == "class":
            codes = array("i", (values.argmax(1) + 1).tolist())
            return Predictions((Predicted("integer", codes, labels),), None)
        best, at = values.sort(dim=1, descending=True, stable=True)
        tops = zip(at[:, : self._top_k].tolist(), best[:, : self._top_k].tolist(), strict=True)
        return _one("object", [_ranking(labels, codes, probabilities) for codes, probabilities in tops])


def _labels(settings: TorchSettings, shape: tuple[int, ...]) -> tuple[str, ...]:
    """The classes; none where the model's numbers are not probabilities of classes. Raises LoadFailed."""
    classes = shape[0] if len(shape) == 1 else 1 if not shape else None
    if settings.labels is None:
        if settings.activation == "softmax" and classes is not None and classes > 1:
            return tuple(map(str, range(classes)))
        return ()
    count = len(settings.labels)
    if classes != count and not (classes == 1 and count == 2):
        gives = "one number" if classes == 1 else f"{shape_told(shape)} numbers"
        raise LoadFailed(
            "bad_schema", f"torch.labels has {count} labels, the model gives {gives} a row; list a label for each"
        )
    return tuple(settings.labels)


def _columns(count: int, stated: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Names for the numbers of a row: those that the sidecar states, else their positions. Raises LoadFailed."""
    names = next((o.get("columns") for o in stated if o["name"] == "response"), None)
    if names is None:
        return tuple(map(str, range(count)))
    if len(names) != count or len(set(names)) < count:
        named = f"schema.outputs names {len(names)} columns"
        raise LoadFailed("bad_schema", f"{named}, the model gives {count} different numbers a row; name each once")
    return tuple(names)


def _one(kind: Any, values: Any) -> Predictions:
    return Predictions((Predicted(kind, values),), None)


def _columns_of(values: Tensor, names: tuple[str, ...]) -> Predictions:
    return Predictions(tuple(Predicted("number", array("d", column)) for column in values.T.tolist()), names)


def _ranking(labels: Sequence[str], codes: Sequence[int], probabilities: Sequence[float]) -> list[dict[str, Any]]:
    ranked = zip(codes, with_specials(probabilities), strict=True)
    return [{"label": labels[code], "probability": probability} for code, probability in ranked]


def _nested(values: Any) -> Any:
    """A tensor as nested lists that JSON can hold."""
    if not isinstance(values, list):
        return next(with_specials([values]))
    return [_nested(v) for v in values] if values and isinstance(values[0], list) else list(with_specials(values))
