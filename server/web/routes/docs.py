"""The documentation that follows the catalog: OpenAPI with one typed operation per model, and Swagger UI to use it.

Swagger UI's files are packaged; the page loads nothing from another host.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fastapi_swagger
import orjson
from fastapi import APIRouter, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from auth.principal import Principal
from auth.routes import require
from server import __version__
from server.web import json_schema
from server.web.problems import CODES, MEDIA_TYPE, STATUS
from server.web.scoring.serving import Serving
from server.wire.snapshot import Entry

router = APIRouter(include_in_schema=False)

PAGES = Path(__file__).with_name("pages")
SWAGGER = Path(fastapi_swagger.__file__).with_name("resources")
SWAGGER_ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
ASSETS = (*SWAGGER_ASSETS, "sign-in.js", "docs.js", "console.js", "console.css")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SCORE_CODES = (400, 401, 403, 404, 406, 408, 413, 415, 422, 429, 431, 500, 503, 504)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Swagger UI. The page itself tells nothing; what it shows comes from /openapi.json."""
    if request.app.state.settings.docs == "off":
        raise HTTPException(404)
    return page("docs.html")


@router.get("/assets/{name}")
async def asset(name: str) -> Response:
    """A file of the pages."""
    if name not in ASSETS:
        raise HTTPException(404)
    folder = SWAGGER if name in SWAGGER_ASSETS else PAGES
    media_type = {"css": "text/css", "js": "text/javascript", "png": "image/png"}[name.rpartition(".")[2]]
    return FileResponse(folder / name, media_type=media_type, headers={"cache-control": "no-cache"})


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """The OpenAPI document of this moment."""
    match request.app.state.settings.docs:
        case "off":
            raise HTTPException(404)
        case "login":
            asking = await require("list")(request, None)  # the page then asks for a name and a password
            if not asking.may("list", "*"):
                return Response(_listed(request, asking), media_type="application/json")
    return Response(_document(request), media_type="application/json")


def page(name: str) -> Response:
    """One of our pages, with a policy that lets it load nothing from elsewhere."""
    headers = {"content-security-policy": CONTENT_SECURITY_POLICY, "cache-control": "no-cache"}
    return FileResponse(PAGES / name, media_type="text/html", headers=headers)


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
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["responses"] |= _failures(path, method, operation)
    document["paths"] = scored | document["paths"]
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own; ours are problems
        document["components"]["schemas"].pop(unused, None)
    return document


def _failures(path: str, method: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    """What else than its reply a route that is no scoring route may answer."""
    statuses = [500]
    if operation.get("security"):
        statuses += [401, 403]
    if operation.get("parameters"):
        statuses += [422]
    if path.startswith("/auth/session") or path == "/auth/me/password":  # a password is shown, or a page of ours asks
        statuses += [401, 403, 429]
    if "{" in path:
        statuses += [404]
    if "requestBody" in operation:
        statuses += [400, 413, 422]
    if path.startswith("/auth/") and path != "/auth/me" and operation.get("security"):
        statuses += [409]
    told = {str(status): {"description": _told(status), **_PROBLEM} for status in sorted(set(statuses))}
    if path in ("/auth/token", "/auth/revoke"):
        oauth = {"application/json": {"schema": _OAUTH_ERROR}}
        told["400"] = {"description": "RFC 6749, 5.2", "content": oauth | _PROBLEM["content"]}
        told["429"] = {"description": _told(429), "content": oauth | _PROBLEM["content"]}
    return told


_PROBLEM = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
_OAUTH_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
    "required": ["error", "error_description"],
}


def _operation(entry: Entry) -> dict[str, Any]:
    about = [entry.description] if entry.description else []
    about += [f"Version {entry.version}, class {entry.model_class}."]
    if entry.current:
        about += [f"To stay with this version: `/v1/models/{entry.name}/versions/{entry.version}/score`."]
    ok = {"description": "Predictions, in row order.", "content": _content(entry, json_schema.reply_schema(entry))}
    failures = {str(status): {"description": _told(status), **_PROBLEM} for status in SCORE_CODES}
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


def _told(status: int) -> str:
    return " or ".join(code for code in CODES if STATUS[code] == status)


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
