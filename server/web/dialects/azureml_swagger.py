"""What Azure's server says that a model takes and gives: a Swagger 2.0 document, or OpenAPI 3.0 or 3.1.

For a model file it is made from the model's schema, for a script from what its decorators say. Names of the operations
and definitions are Azure's: clients were made from them.
"""

from __future__ import annotations

from typing import Any

from server.web.json_schema import MAX_LEVELS
from server.web.problems import ProblemError, problem
from server.wire.schema import Input, Output, Schema
from server.wire.snapshot import Entry

ALIASES = {"2": "2", "2.0": "2", "3": "3", "3.0": "3", "3.1": "3.1"}
_FULL = {"2": "2.0", "3": "3.0.3", "3.1": "3.1.0"}
_ANY: dict[str, Any] = {"type": "object", "example": {}}
_MESSAGE = {"type": "object", "properties": {"message": {"type": "string"}}}


def document(entry: Entry, asked: str, base: str, host: str, scheme: str) -> dict[str, Any]:
    """The document of a version, for a model that answers below `base`. Raises ProblemError where there is none."""
    schema = Schema.from_data(entry.schema or {})
    stated = schema.swagger or {}
    versions = stated.get("versions", list(_FULL))
    version = ALIASES.get(asked)
    if version is None or version not in versions:
        said = "not valid" if version is None else "not supported for the scoring script"
        word = "Supported versions" if version is None else "Supported swagger versions"
        raise ProblemError(
            problem("not_found", f"Swagger version [{asked}] is {said}. {word}: [{', '.join(versions)}].")
        )
    if schema.raw:
        definitions = {"ServiceInput": stated.get("input", _ANY), "ServiceOutput": stated.get("output", _ANY)}
    else:
        definitions = {"ServiceInput": _input(entry, schema), "ServiceOutput": _output(entry, schema)}
    info = {"title": entry.name, "version": entry.version, "description": entry.description}
    if version == "2":
        return _swagger_2(info, definitions, base, host, scheme)
    return _openapi_3(_FULL[version], info, definitions, base)


def _swagger_2(info: dict[str, Any], definitions: dict[str, Any], base: str, host: str, scheme: str) -> dict[str, Any]:
    def said(schema: dict[str, Any], words: str) -> dict[str, Any]:
        return {"description": words, "schema": schema}

    def named(name: str) -> dict[str, Any]:
        return {"$ref": f"#/definitions/{name}"}

    body = {"name": "serviceInputPayload", "in": "body", "required": True, "schema": named("ServiceInput")}
    version = {"name": "version", "in": "query", "required": False, "type": "string", "enum": list(ALIASES)}
    return {
        "swagger": "2.0",
        "info": info,
        "host": host,
        "basePath": base,
        "schemes": [scheme],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {"Bearer": {"type": "apiKey", "name": "Authorization", "in": "header"}},
        "security": [{"Bearer": []}],
        "paths": _paths(said, named, {"parameters": [body]}, version),
        "definitions": definitions | {"ErrorResponse": _MESSAGE},
    }


def _openapi_3(full: str, info: dict[str, Any], schemas: dict[str, Any], base: str) -> dict[str, Any]:
    def said(schema: dict[str, Any], words: str) -> dict[str, Any]:
        return {"description": words, "content": {"application/json": {"schema": schema}}}

    def named(name: str) -> dict[str, Any]:
        return {"$ref": f"#/components/schemas/{name}"}

    body = {"required": True, "content": {"application/json": {"schema": named("ServiceInput")}}}
    version = {"name": "version", "in": "query", "schema": {"type": "string", "enum": list(ALIASES)}}
    return {
        "openapi": full,
        "info": info,
        "servers": [{"url": base}],
        "security": [{"Bearer": []}],
        "paths": _paths(said, named, {"requestBody": body}, version),
        "components": {
            "schemas": schemas | {"ErrorResponse": _MESSAGE},
            "securitySchemes": {"Bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths(said: Any, named: Any, takes: dict[str, Any], version: dict[str, Any]) -> dict[str, Any]:
    failed = said(named("ErrorResponse"), "What went wrong.")

    def operation(name: str, reply: dict[str, Any], words: str, **more: Any) -> dict[str, Any]:
        return {"operationId": name, **more, "responses": {"200": said(reply, words), "default": failed}}

    healthy = operation("ServiceHealthCheck", {"type": "string"}, "The model is served.")
    score = operation("RunMLService", named("ServiceOutput"), "The answer of the model.", **takes)
    swagger = operation("GetSwaggerSpec", {"type": "object"}, "This document.", parameters=[version])
    return {"/": {"get": healthy}, "/score": {"post": score}, "/swagger.json": {"get": swagger}}


# What a model file takes and gives, in words that all three versions have


def _input(entry: Entry, schema: Schema) -> dict[str, Any]:
    if schema.horizon:
        params = {"type": "object", "properties": {o.name: {} for o in schema.options}}
        return _object({"params": params}) | {"example": {"params": {"h": 12}}}
    row = _object({i.name: _column(i) for i in schema.inputs})
    needed = [i.name for i in schema.inputs if i.missing == "refuse"]
    row |= {"required": needed} if needed else {}
    example = {"data": [entry.example]}
    return _object({"data": {"type": "array", "items": row}}) | {"required": ["data"], "example": example}


def _output(entry: Entry, schema: Schema) -> dict[str, Any]:
    answer = _answer(schema.outputs[0])
    return {"type": "array", "items": answer, "example": [entry.example_prediction]}


_KINDS: dict[str, dict[str, Any]] = {
    "numeric": {"type": "number", "format": "double"},
    "integer": {"type": "integer", "format": "int32"},
    "logical": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "image": {"type": "string", "format": "byte"},
}


def _column(spec: Input) -> dict[str, Any]:
    if spec.type == "tensor":
        nested: dict[str, Any] = {"type": "number"}
        for _ in spec.shape or ():
            nested = {"type": "array", "items": nested}
        return nested
    column = dict(_KINDS.get(spec.type, {"type": "string"}))
    if spec.levels and spec.type != "string" and len(spec.levels) <= MAX_LEVELS:
        column["enum"] = list(spec.levels)
    return column | ({"x-nullable": True} if spec.na else {})


def _answer(output: Output) -> dict[str, Any]:
    if output.type == "ranking":
        members = {"label": {"type": "string"}, "probability": {"type": "number"}}
        return {"type": "array", "items": _object(members)}
    cell = dict(_KINDS.get(output.type, {"type": "string"}))
    return _object({name: cell for name in output.columns}) if output.columns else cell


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}
