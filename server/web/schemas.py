"""JSON Schema of what a model takes and gives, made from its schema and its example row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.catalog.snapshot import Entry

MAX_LEVELS = 500
"""More levels than this are described, not listed: a page with 50,000 options helps nobody."""

_SPECIAL = ["NaN", "Inf", "-Inf"]
_NUMBER: dict[str, Any] = {"anyOf": [{"type": "number"}, {"type": "string", "enum": _SPECIAL}]}


def row_schema(entry: Entry) -> dict[str, Any]:
    """One row: an object with a member per input."""
    inputs = _schema(entry)["inputs"]
    return {
        "type": "object",
        "properties": {i["name"]: _input(i) for i in inputs},
        "required": [i["name"] for i in inputs],
        "example": dict(entry.example or {}),
    }


def request_schema(entry: Entry) -> dict[str, Any]:
    """A request body: rows or columns, and optionally an output."""
    row = row_schema(entry)
    columns = {
        "type": "object",
        "properties": {name: {"type": "array", "items": cell} for name, cell in row["properties"].items()},
        "required": row["required"],
    }
    output = {"type": "string", "enum": [o["name"] for o in _schema(entry)["outputs"]]}
    return {
        "oneOf": [
            _object({"rows": {"type": "array", "items": row, "minItems": 1}, "output": output}, "rows"),
            _object({"columns": columns, "output": output}, "columns"),
        ],
        "example": {"rows": [dict(entry.example or {})]},
    }


def reply_schema(entry: Entry) -> dict[str, Any]:
    """A reply: predictions in row order, each in the form of the output that was asked for."""
    items = [_output(o) for o in _schema(entry)["outputs"]]
    predictions = {"type": "array", "items": items[0] if len(items) == 1 else {"anyOf": items}}
    return _object(
        {
            "model": {"type": "string", "enum": [entry.name]},
            "version": {"type": "string"},
            "predictions": predictions,
            "warnings": {"type": "array", "items": {"type": "string"}},
        },
        "model",
        "version",
        "predictions",
    )


def _schema(entry: Entry) -> Mapping[str, Any]:
    assert entry.schema is not None
    return entry.schema


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _input(spec: Mapping[str, Any]) -> dict[str, Any]:
    kinds: dict[str, dict[str, Any]] = {
        "numeric": _NUMBER,
        "integer": {"type": "integer", "minimum": -(2**31) + 1, "maximum": 2**31 - 1},
        "logical": {"type": "boolean"},
        "string": {"type": "string"},
    }
    cell = kinds.get(spec["type"]) or _levels(spec["levels"])
    return _nullable(cell) if spec["na"] else cell


def _output(spec: Mapping[str, Any]) -> dict[str, Any]:
    if spec["type"] == "columns":
        columns = spec.get("columns") or []
        return {"type": "object", "properties": {name: _nullable(_NUMBER) for name in columns}, "required": columns}
    kinds: dict[str, dict[str, Any]] = {
        "number": _NUMBER,
        "integer": {"type": "integer"},
        "logical": {"type": "boolean"},
        "string": {"type": "string"},
        "label": _levels(spec.get("levels") or []),
    }
    return _nullable(kinds.get(spec["type"], {}))


def _levels(levels: list[str]) -> dict[str, Any]:
    if 0 < len(levels) <= MAX_LEVELS:
        return {"type": "string", "enum": levels}
    return {"type": "string", "description": f"one of {len(levels)} levels"}


def _nullable(cell: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [*cell.get("anyOf", [cell]), {"type": "null"}]}
