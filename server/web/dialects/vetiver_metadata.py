"""What vetiver tells of a model, made from its schema: its metadata, its prototype, and an OpenAPI document of its own.

For a model of R the prototype is what R's cereal reads, for any other JSON Schema, as Python's vetiver has it.
"""

from __future__ import annotations

from typing import Any

from server.web import json_schema
from server.wire.schema import Input, Schema
from server.wire.snapshot import Entry

R_CLASSES = {"string": "character", "date": "Date", "datetime": "POSIXct", "image": "character", "tensor": "list"}
"""R's names of types that Tandem calls otherwise."""


def metadata(entry: Entry) -> dict[str, Any]:
    """A model's metadata: vetiver's members, of which Tandem knows the version and the package."""
    return {
        "user": {},
        "version": entry.version,
        "url": None,
        "required_pkgs": [entry.package] if entry.package else [],
    }


def prototype(entry: Entry) -> dict[str, Any]:
    """What a row of the model holds."""
    schema = Schema.from_data(entry.schema or {})
    if entry.runtime == "r":
        return {spec.name: _cereal(spec) for spec in schema.inputs}
    example = entry.example if isinstance(entry.example, dict) else {}
    properties = {spec.name: _property(spec, example) for spec in schema.inputs}
    required = [spec.name for spec in schema.inputs if spec.missing == "refuse"]
    return {"properties": properties, "required": required, "title": "prototype", "type": "object"}


def document(entry: Entry) -> dict[str, Any]:
    """The OpenAPI document of one model."""
    text = {"type": "string"}
    told = {"description": "What goes wrong, in words."}
    responses = {
        "200": {"description": "A prediction for each row.", "content": _json(_reply(entry))},
        "422": told | {"content": _json(_refusal()) if entry.runtime == "r" else {"text/plain": {"schema": text}}},
    }
    predict = {
        "operationId": "predict",
        "summary": f"Predict with {entry.name}, version {entry.version}",
        "parameters": json_schema.query_parameters(entry),
        "requestBody": {"required": True, "content": _json(_request(entry))},
        "responses": responses,
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{entry.name} model API", "version": entry.version, "description": entry.description},
        "servers": [{"url": f"/endpoints/{entry.name}"}],
        "security": [{"token": []}],
        "paths": {"/predict": {"post": predict}}
        | {f"/{name}": _told(name) for name in ("ping", "metadata", "prototype")},
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _cereal(spec: Input) -> dict[str, Any]:
    kind = R_CLASSES.get(spec.type, spec.type)
    details: Any = []
    if spec.type in ("factor", "ordered"):
        details = {"levels": list(spec.levels or ())}
    elif spec.type == "datetime":
        details = {"tzone": spec.tz or "UTC"}
    return {"type": kind, "default": None, "details": details}


_KINDS = {"numeric": "number", "integer": "integer", "logical": "boolean", "tensor": "array"}
_FORMATS = {"date": "date", "datetime": "date-time"}


def _property(spec: Input, example: dict[str, Any]) -> dict[str, Any]:
    cell: dict[str, Any] = {"type": _KINDS.get(spec.type, "string")}
    if spec.type in _FORMATS:
        cell["format"] = _FORMATS[spec.type]
    if spec.levels and len(spec.levels) <= json_schema.MAX_LEVELS:
        cell["enum"] = list(spec.levels)
    return cell | ({"example": example[spec.name]} if spec.name in example else {})


def _request(entry: Entry) -> dict[str, Any]:
    if json_schema.is_raw(entry):
        return json_schema.request_schema(entry)
    schema = Schema.from_data(entry.schema or {})
    if schema.horizon:
        return {"type": "array", "maxItems": 0, "example": []}
    return {"type": "array", "items": json_schema.row_schema(entry), "minItems": 1}


def _reply(entry: Entry) -> dict[str, Any]:
    if entry.runtime == "r":
        return {"type": "array", "items": {"type": "object", "description": "Columns named as tidymodels names them."}}
    members = {"predict": {} if json_schema.is_raw(entry) else {"type": "array"}}
    return {"type": "object", "properties": members, "required": ["predict"]}


def _refusal() -> dict[str, Any]:
    text = {"type": "string"}
    return {"type": "object", "properties": {"error": text, "message": text}, "required": ["error", "message"]}


def _told(name: str) -> dict[str, Any]:
    said = {"200": {"description": "What there is.", "content": _json({"type": "object"})}}
    return {"get": {"operationId": name, "responses": said}}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
