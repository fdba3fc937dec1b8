"""`GET /openapi.json`: every route as it declares itself, and an operation for each model that is served now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.openapi.utils import get_openapi

from auth.principal import Principal
from auth.routes import require
from server import __version__
from server.web import json_schema
from server.web.problems import CODES, MEDIA_TYPE, STATUS, Code, ProblemError, problem
from server.web.routes import openapi_dialects
from server.web.scoring.serving import Serving
from server.wire.snapshot import Entry

router = APIRouter(include_in_schema=False)

ROUTE_CODES: tuple[Code, ...] = (
    "bad_request",
    "unauthenticated",
    "forbidden",
    "cross_site",
    "confirm",
    "groups_overage",
    "not_found",
    "body_too_large",
    "invalid_input",
    "conflict",
    "not_collected",
    "too_many_attempts",
    "internal_error",
    "provider_unavailable",
    "accounts_unavailable",
    "recorder_unavailable",
)
"""The codes with which a route that does not score refuses a request."""
CHANGE_CODES: tuple[Code, ...] = (
    "in_file",
    "has_traffic",
    "precondition_failed",
    "bad_definition",
    "bad_traffic",
    "unsupported_field",
    "bad_archive",
    "store_unavailable",
)
"""Those of routes that change endpoints and models, beside these."""
SCORE_STATUSES = (400, 401, 403, 404, 406, 408, 413, 415, 422, 429, 431, 500, 503, 504)


@router.get("/openapi.json")
async def openapi(request: Request, dialects: bool = False) -> Response:
    """The OpenAPI document of this moment. With `?dialects=true` it has the routes of other servers' clients too."""
    asking = None
    match request.app.state.settings.docs:
        case "off":
            raise ProblemError(problem("not_found"))
        case "login":
            asking = await require("list")(request, None)  # the page then asks for a name and a password
    document = _document(request) if asking is None or asking.may("list", "*") else _listed(request, asking)
    if dialects:
        document = _with_dialects(document, request.app.state.serving, asking)
    return Response(document, media_type="application/json")


def _with_dialects(document: bytes, serving: Serving, asking: Principal | None) -> bytes:
    """The document with where those models that somebody may see are asked in other dialects."""
    ready = [entry for entry in serving.snapshot.entries if entry.state == "ready"]
    seen = [entry for entry in ready if asking is None or asking.may("list", entry.name)]
    told = orjson.loads(document)
    told["paths"] |= openapi_dialects.paths(seen, serving.dialects)
    return orjson.dumps(told)


def _document(request: Request) -> bytes:
    """Made once for each snapshot: with a thousand models it takes a moment."""
    serving: Serving = request.app.state.serving
    state = request.app.state
    if getattr(state, "openapi_serial", None) != serving.snapshot.serial:
        state.openapi_bytes = orjson.dumps(_build(request, serving))
        state.openapi_serial = serving.snapshot.serial
    document: bytes = state.openapi_bytes
    return document


def _listed(request: Request, asking: Principal) -> bytes:
    """The document without the models that somebody may not see."""
    document = orjson.loads(_document(request))
    entries = request.app.state.serving.snapshot.entries
    unseen = [f"/v1/models/{entry.name}/" for entry in entries if not asking.may("list", entry.name)]
    document["paths"] = {path: of for path, of in document["paths"].items() if not path.startswith(tuple(unseen))}
    return orjson.dumps(document)


def _build(request: Request, serving: Serving) -> dict[str, Any]:
    document = get_openapi(
        title="Tandem",
        version=__version__,
        description="Models behind one API. Get a token with *Authorize*, then score.",
        routes=request.app.routes,
        tags=[{"name": "score", "description": "One operation per model."}],
    )
    document["components"]["schemas"]["Problem"] = _problem_schema()
    scored = {}
    for entry in serving.snapshot.entries:
        if entry.state == "ready":
            version = "" if entry.current else f"/versions/{entry.version}"
            scored[f"/v1/models/{entry.name}{version}/score"] = {"post": _operation(entry)}
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"] |= _failures(operation)
    document["paths"] = scored | document["paths"]
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own; ours are problems
        document["components"]["schemas"].pop(unused, None)
    return document


def _failures(operation: Mapping[str, Any]) -> dict[str, Any]:
    """A route's replies when something goes wrong: those that it declares, and those of every route of its kind."""
    replies = operation["responses"]
    declared = {int(status) for status, reply in replies.items() if int(status) >= 400 and "content" not in reply}
    common = {500}
    if operation.get("security"):
        common |= {400, 401, 403, 429, 503}
    if operation.get("parameters"):
        common |= {422}
    if "requestBody" in operation:
        common |= {400, 413, 422}
    changes = "requestBody" in operation and not {"endpoints", "models"}.isdisjoint(operation.get("tags", ()))
    codes = (*ROUTE_CODES, *CHANGE_CODES) if changes or 412 in declared else ROUTE_CODES
    return {str(status): _failure(status, replies.get(str(status), {}), codes) for status in sorted(declared | common)}


def _failure(status: int, declared: Mapping[str, Any], codes: Sequence[Code]) -> dict[str, Any]:
    """A problem document; where the route says that it has a form of its own for this status, that form as well."""
    own = declared.get("content", {}) if status != 422 else {}  # FastAPI's own idea of a 422 is not what we answer
    description = declared["description"] if own else _described(status, codes)
    return _reply(description, own)


def _reply(description: str, own: Mapping[str, Any] | None = None) -> dict[str, Any]:
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "content": {**(own or {}), **problem}}


def _operation(entry: Entry) -> dict[str, Any]:
    about = [entry.description] if entry.description else []
    about += [f"Version {entry.version}, class {entry.model_class}."]
    if entry.current:
        about += [f"To stay with this version: `/v1/models/{entry.name}/versions/{entry.version}/score`."]
    ok = {"description": "Predictions, in row order.", "content": _content(entry, json_schema.reply_schema(entry))}
    failures = {str(status): _reply(_described(status, CODES)) for status in SCORE_STATUSES}
    return {
        "tags": ["score"],
        "summary": f"Score {entry.name}" + ("" if entry.current else f", version {entry.version}"),
        "description": "\n\n".join(about),
        "operationId": f"score_{entry.name}" + ("" if entry.current else f"_{entry.version}"),
        "security": [{"OAuth2PasswordBearer": []}],
        "parameters": [*json_schema.query_parameters(entry), _TIMEOUT],
        "requestBody": {
            "required": True,
            "content": _content(entry, json_schema.request_schema(entry)) | _images(entry),
        },
        "responses": {"200": ok, **failures},
    }


_TIMEOUT = {
    "name": "X-Request-Timeout-Ms",
    "in": "header",
    "description": "How long the caller will wait, in milliseconds; never longer than the server allows.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 9_999_999_999},
}


def _content(entry: Entry, schema: dict[str, Any]) -> dict[str, Any]:
    """JSON, described; Arrow and CSV carry the same columns by name, where there are columns."""
    described = {"application/json": {"schema": schema}}
    if json_schema.is_raw(entry):
        return described
    return described | {
        "text/csv": {"schema": {"type": "string"}},
        "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}},
    }


def _images(entry: Entry) -> dict[str, Any]:
    """An image as the whole body, where the model takes nothing else."""
    if not json_schema.takes_image(entry):
        return {}
    return {name: {"schema": {"type": "string", "format": "binary"}} for name in ("image/jpeg", "image/png")}


def _described(status: int, codes: Sequence[Code]) -> str:
    """Those of the codes that a problem of this status may have."""
    return " or ".join(code for code in codes if STATUS[code] == status)


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    row = {"type": ["integer", "null"], "description": "Counted from 0; null where no single row is at fault."}
    column = {"type": ["string", "null"]}
    fault = {
        "type": "object",
        "properties": {"row": row, "column": column, "expected": text, "got": text, "hint": text},
    }
    return {
        "type": "object",
        "description": "RFC 9457.",
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "code": {"type": "string", "enum": list(CODES)},
            "detail": text,
            "request_id": text,
            "errors": {"type": "array", "items": fault},
            "model_message": text,
        },
        "required": ["type", "title", "status", "code", "detail", "request_id"],
    }
