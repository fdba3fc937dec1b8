"""The Swagger 2.0 document of a service, of which programs make clients; it is a function of the model's schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request

from auth.principal import Principal
from auth.routes import require
from server.web.dialects.mls.services import found_service, operation_id, output
from server.web.json_schema import is_raw
from server.web.prefix import address
from server.wire.schema import Schema
from server.wire.snapshot import Entry

router = APIRouter(include_in_schema=False)

Reader = Annotated[Principal, Depends(require("list"))]
Json = dict[str, Any]
NUMBER: Json = {"type": "number", "format": "double"}
CELLS: Mapping[str, Json] = {
    "number": NUMBER,
    "numeric": NUMBER,
    "integer": {"type": "integer", "format": "int32"},
    "logical": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "image": {"type": "string", "format": "byte"},
}
"""One value of an input, an option or an output, by its type in the model's schema; all others are texts."""
TEXTS: Json = {"type": "array", "items": {"type": "string"}}
BATCH_STATES = ["pending", "inProgress", "complete"]


@router.get("/api/{model}/{version}/swagger.json")
async def swagger(request: Request, asking: Reader, model: str, version: str) -> Json:
    """What a service takes and gives, at the address by which it was asked."""
    return document(found_service(request, asking, model, version), address(request))


def document(entry: Entry, url: str) -> Json:
    """The document of a service of the server at `url`."""
    server = urlsplit(url)
    path = f"/api/{entry.name}/{entry.version}"
    return {
        "swagger": "2.0",
        "info": {"title": entry.name, "version": entry.version, "description": entry.description},
        "host": server.netloc,
        "basePath": server.path or "/",
        "schemes": [server.scheme],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {"Bearer": {"type": "apiKey", "name": "Authorization", "in": "header"}},
        "security": [{"Bearer": []}],
        "tags": [{"name": entry.name}],
        "paths": {
            path: {"post": _consume(entry)},
            f"{path}/batch": {"post": _start(entry), "get": _list(entry)},
            f"{path}/batch/{{executionId}}": {"get": _status(entry), "delete": _cancel(entry)},
        },
        "definitions": definitions(entry),
    }


def definitions(entry: Entry) -> Json:
    """What goes in and comes out."""
    outcome = {"success": {"type": "boolean"}, "errorMessage": {"type": "string"}}
    result = outcome | {
        "outputParameters": {"$ref": "#/definitions/OutputParameters"},
        "outputData": {"type": "object", "description": "The answer to inputData: an array for each column."},
        "consoleOutput": {"type": "string"},
        "changedFiles": TEXTS,
        "outputFiles": {"type": "object"},
    }
    return {
        "InputParameters": _inputs(entry),
        "OutputParameters": _outputs(entry),
        "WebServiceResult": {"type": "object", "properties": result, "required": ["success"]},
        "BatchWebServiceResult": _object(
            state={"type": "string", "enum": BATCH_STATES},
            completedItemCount={"type": "integer", "format": "int32"},
            totalItemCount={"type": "integer", "format": "int32"},
            batchExecutionResults={"type": "array", "items": {"$ref": "#/definitions/WebServiceResult"}},
        ),
        "StartBatchExecutionResponse": _object(batchExecutionId={"type": "string"}),
        "Error": _object(message={"type": "string"}, link={"type": "string"}, exceptionType={"type": "string"}),
    }


def _inputs(entry: Entry) -> Json:
    """A value for each input, or `inputData` with an array for each. No input is required, as either form will do."""
    if is_raw(entry):
        return {"type": "object", "description": "What the script's run() takes, as it is."}
    schema = Schema.from_data(entry.schema or {})
    if schema.horizon:
        return {"type": "object", "properties": {option.name: _cell(option.type) for option in schema.options}}
    cells = {spec.name: _nullable(_nested(spec.shape) if spec.shape else _cell(spec.type)) for spec in schema.inputs}
    columns = {name: {"type": "array", "items": cell} for name, cell in cells.items()}
    frame = {"type": "object", "properties": columns, "description": "Many rows: an array for each input."}
    return {"type": "object", "properties": cells | ({} if "inputData" in cells else {"inputData": frame})}


def _outputs(entry: Entry) -> Json:
    name, kind = output(entry)
    if is_raw(entry):
        return {"type": "object", "properties": {name: {"description": "What the script's run() returned."}}}
    schema = Schema.from_data(entry.schema or {})
    first = schema.outputs[0]
    answer = _cell(first.type)
    if kind == "data.frame":
        arrays = {column: {"type": "array", "items": _nullable(NUMBER)} for column in first.columns or ()}
        answer = {"type": "object", "properties": arrays}
    elif kind == "vector":
        answer = {"type": "array", "items": _nullable(answer) if schema.horizon else {}}
    return {"type": "object", "properties": {name: _nullable(answer)}}


def _cell(kind: str) -> Json:
    return dict(CELLS.get(kind, {"type": "string"}))


def _nested(shape: tuple[int | None, ...]) -> Json:
    """Arrays in arrays of numbers, as deep as the shape has dimensions."""
    cell: Json = NUMBER
    for _ in shape:
        cell = {"type": "array", "items": cell}
    return cell


def _nullable(cell: Json) -> Json:
    """Swagger 2.0 has no null; this is the extension that clients know."""
    return cell | {"x-nullable": True}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


# Operations


def _consume(entry: Entry) -> Json:
    takes = {"$ref": "#/definitions/InputParameters"}
    return _operation(entry, operation_id(entry), "WebServiceResult", parameters=[_body("WebServiceParameters", takes)])


def _start(entry: Entry) -> Json:
    records = {"type": "array", "items": {"$ref": "#/definitions/InputParameters"}}
    parallel = {"name": "parallelCount", "in": "query", "type": "integer", "format": "int32", "default": 10}
    parameters = [_body("batchWebServiceParameters", records), parallel]
    return _operation(entry, "startBatchExecution", "StartBatchExecutionResponse", 202, parameters)


def _list(entry: Entry) -> Json:
    return _operation(entry, "getBatchExecutions", TEXTS)


def _status(entry: Entry) -> Json:
    partial = {"name": "showPartialResult", "in": "query", "type": "boolean"}
    return _operation(entry, "getBatchExecutionStatus", "BatchWebServiceResult", parameters=[_id(), partial])


def _cancel(entry: Entry) -> Json:
    return _operation(entry, "cancelBatchExecution", {"type": "object"}, parameters=[_id()])


def _id() -> Json:
    return {"name": "executionId", "in": "path", "type": "string", "required": True}


def _body(name: str, schema: Json) -> Json:
    return {"name": name, "in": "body", "required": True, "schema": schema}


def _operation(
    entry: Entry, name: str, gives: str | Json, status: int = 200, parameters: list[Json] | None = None
) -> Json:
    schema = {"$ref": f"#/definitions/{gives}"} if isinstance(gives, str) else gives
    return {
        "tags": [entry.name],
        "operationId": name,
        "parameters": parameters or [],
        "responses": {
            str(status): {"description": "OK", "schema": schema},
            "default": {"description": "What went wrong.", "schema": {"$ref": "#/definitions/Error"}},
        },
    }
