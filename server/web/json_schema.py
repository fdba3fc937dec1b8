"""JSON Schema of what a model takes and gives, made from its schema and its example row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from server.wire.schema import Input, Option, Output, Schema
from server.wire.snapshot import Entry

MAX_LEVELS = 500
"""Most levels of a factor that are listed. More are described: a page with 50,000 options helps nobody."""

_SPECIAL = ["NaN", "Inf", "-Inf"]
_NUMBER: dict[str, Any] = {"anyOf": [{"type": "number"}, {"type": "string", "enum": _SPECIAL}]}


def row_schema(entry: Entry) -> dict[str, Any]:
    """One row: an object with a member per input."""
    return _row(_schema(entry)) | {"example": dict(entry.example or {})}


def _row(schema: Schema) -> dict[str, Any]:
    row = {
        "type": "object",
        "properties": {i.name: _input(i) for i in schema.inputs},
        "required": [i.name for i in schema.inputs if i.missing == "refuse"],
    }
    return row | ({"additionalProperties": False} if schema.extra == "refuse" else {})


def request_schema(entry: Entry) -> dict[str, Any]:
    """A request body: rows or columns, and optionally an output and options; or, for a horizon, options alone."""
    schema = _schema(entry)
    if schema.raw:
        example = {} if entry.example is None else {"example": entry.example}
        return {"description": "What the script's run() takes, as it is."} | example
    more: dict[str, Any] = {"output": _output_names(schema)}
    if schema.options:
        more["options"] = _options(schema)
    if schema.horizon:
        required = ("options",) if more["options"]["required"] else ()
        return _object(more, *required) | {"example": {"options": {"h": 12}}}
    row, example = _row(schema), dict(entry.example or {})
    columns = row | {"properties": {n: {"type": "array", "items": c} for n, c in row["properties"].items()}}
    rows = {"type": "array", "items": row | {"example": example}, "minItems": 1}
    return {
        "oneOf": [_object({"rows": rows, **more}, "rows"), _object({"columns": columns, **more}, "columns")],
        "example": {"rows": [example]},
    }


def _output_names(schema: Schema) -> dict[str, Any]:
    return {"type": "string", "enum": [o.name for o in schema.outputs]}


def _options(schema: Schema) -> dict[str, Any]:
    options = {o.name: _option(o) for o in schema.options}
    needed = [o.name for o in schema.options if o.name == "h" and o.default is None]
    return _object(options, *(needed if schema.horizon else ()))


def _option(option: Option) -> dict[str, Any]:
    kinds = {"numeric": "number", "integer": "integer", "string": "string", "logical": "boolean"}
    cell: dict[str, Any] = {"type": kinds[option.type]}
    if option.values:
        cell["enum"] = list(option.values)
    bounds = {"minimum": option.minimum, "maximum": option.maximum, "default": option.default}
    return cell | {word: value for word, value in bounds.items() if value is not None}


def query_parameters(entry: Entry) -> list[dict[str, Any]]:
    """Output and options again, for bodies that have no place for them."""
    schema = _schema(entry)
    if schema.raw:
        return []
    about = {"output": _output_names(schema)} | {o.name: _option(replace(o, default=None)) for o in schema.options}
    description = "For bodies other than JSON; what the body names is not named here too."
    return [
        {"name": name, "in": "query", "required": False, "schema": one, "description": description}
        for name, one in about.items()
    ]


def reply_schema(entry: Entry) -> dict[str, Any]:
    """A reply: predictions in row order, each in the form of the output that was asked for."""
    schema = _schema(entry)
    if schema.raw:
        return {"description": "What the script's run() returned.", "example": entry.example_prediction}
    items = [_output(o) for o in schema.outputs]
    if any(o.default is None for o in schema.options):
        items.append(_nullable(_NUMBER))  # such an option (glmnet's s) picks one of several columns
    predictions = {"type": "array", "items": items[0] if len(items) == 1 else {"anyOf": items}}
    reply = {"model": entry.name, "version": entry.version, "predictions": [entry.example_prediction]}
    return {"example": reply} | _object(
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


def is_raw(entry: Entry) -> bool:
    """Whether a script takes the body as it is; asked without reading the whole schema."""
    return bool(entry.schema and entry.schema.get("raw"))


def takes_image(entry: Entry) -> bool:
    """Whether an image's bytes can be the whole body; asked for each request, so without reading the whole schema."""
    return entry.schema is not None and [i["type"] for i in entry.schema["inputs"]] == ["image"]


def _schema(entry: Entry) -> Schema:
    assert entry.schema is not None
    return Schema.from_data(entry.schema)


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _input(spec: Input) -> dict[str, Any]:
    kinds: dict[str, dict[str, Any]] = {
        "numeric": _NUMBER,
        "integer": {"type": "integer", "minimum": -(2**31) + 1, "maximum": 2**31 - 1},
        "logical": {"type": "boolean"},
        "string": {"type": "string"},
        "date": {"type": "string", "format": "date"},
        "datetime": {"type": "string", "format": "date-time"},
    }
    if spec.type == "image":
        return {"type": "string", "contentEncoding": "base64", "description": "A JPEG or PNG file."}
    if spec.type == "tensor":
        return _nested(spec.shape or ())
    closed = spec.new_level == "refuse"
    cell = kinds.get(spec.type) or {"type": "string"}
    if closed and spec.levels:
        cell = _levels(spec.levels)
    if closed and spec.allowed:
        cell = {"anyOf": [{"type": "number", "enum": list(spec.allowed)}, {"type": "string", "enum": ["NaN"]}]}
    if spec.logical == "number":
        known = spec.allowed if closed else None
        cell = _or(cell, {"type": "boolean"} | ({"enum": [b for b in (False, True) if b in known]} if known else {}))
    return _nullable(cell) if spec.na else cell


def _output(spec: Output) -> dict[str, Any]:
    if spec.type == "columns":
        columns = list(spec.columns or ())
        return {"type": "object", "properties": {name: _nullable(_NUMBER) for name in columns}, "required": columns}
    kinds: dict[str, dict[str, Any]] = {
        "number": _NUMBER,
        "integer": {"type": "integer"},
        "logical": {"type": "boolean"},
        "string": {"type": "string"},
        "label": _levels(spec.levels or ()),
        "ranking": _RANKING,
        "tensor": {"type": "array"},
    }
    return _nullable(kinds.get(spec.type, {}))


def _nested(shape: Sequence[int | None]) -> dict[str, Any]:
    """Arrays in arrays of numbers, as deep as the shape has dimensions."""
    cell: dict[str, Any] = {"type": "number"}
    for size in reversed(shape):
        bounds = {"minItems": 1} if size is None else {"minItems": size, "maxItems": size}
        cell = {"type": "array", "items": cell} | bounds
    return cell


_RANKING = {
    "type": "array",
    "description": "The most probable first.",
    "items": {
        "type": "object",
        "properties": {"label": {"type": "string"}, "probability": _NUMBER},
        "required": ["probability"],
    },
}


def _levels(levels: Sequence[str]) -> dict[str, Any]:
    if 0 < len(levels) <= MAX_LEVELS:
        return {"type": "string", "enum": list(levels)}
    return {"type": "string", "description": f"one of {len(levels)} levels"} if levels else {"type": "string"}


def _nullable(cell: dict[str, Any]) -> dict[str, Any]:
    return _or(cell, {"type": "null"})


def _or(cell: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [*cell.get("anyOf", [cell]), other]}
