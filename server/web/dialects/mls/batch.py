"""Batches of a service: an array of what consume takes, answered in the background and asked about meanwhile."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.exceptions import HTTPException

from auth.errors import Forbidden
from auth.principal import Principal
from auth.routes import require
from auth.routes.closed import address_of
from server.web.dialects.mls.executions import Executions, Order
from server.web.dialects.mls.services import found_service
from server.web.prefix import prefix
from server.web.problems import ProblemError, problem

router = APIRouter(prefix="/api/{model}/{version}/batch", include_in_schema=False)

Scorer = Annotated[Principal, Depends(require("score"))]
Partial = Annotated[bool, Query(alias="showPartialResult")]
Partials = Annotated[bool, Query(alias="showPartialResults")]
MAX_RECORDS = 10_000
MAX_BODY_BYTES = 8 << 20
"""Largest size of a batch: what is larger is scored in the native contract, or by a job beside the server."""
LEFT_OUT = (
    *(b"content-length", b"content-encoding", b"transfer-encoding", b"expect"),
    *(b"x-forwarded-for", b"x-request-id", b"x-request-timeout-ms"),
)
"""Headers that are about the batch's own request, not about who asks."""
_SPACE = " \t\r\n"
_PATH = re.compile(r"/api/[^/]+/[^/]+/batch")


def takes(path: str) -> bool:
    """Whether batches are sent to this path, which may be larger than what other routes take."""
    return _PATH.fullmatch(path) is not None


@router.post("", status_code=202)
async def start(
    request: Request,
    response: Response,
    asking: Scorer,
    model: str,
    version: str,
    parallel: Annotated[int, Query(alias="parallelCount", ge=1, le=100)] = 10,
) -> dict[str, str]:
    """Take a batch. Both spellings of its id are read by clients."""
    path = _service(request, asking, model, version)
    records = split(await request.body())
    headers = {name: value for name, value in request.headers.raw if name not in LEFT_OUT}
    order = Order(asking.name, path, headers, address_of(request), records, parallel)
    execution = _executions(request).start(order)
    response.headers["location"] = f"{prefix(request)}{path}/batch/{execution}"
    return {"batchExecutionId": execution, "BatchExecutionId": execution}


@router.get("")
def executions(request: Request, asking: Scorer, model: str, version: str) -> list[str]:
    """The batches that the caller has started, the newest last."""
    return _executions(request).ids(asking.name, _service(request, asking, model, version))


@router.get("/{execution}")
def status(
    request: Request,
    asking: Scorer,
    model: str,
    version: str,
    execution: str,
    partial: Partial = False,
    partials: Partials = False,
) -> Response:
    """How far a batch is, with its results once all are there, or as many as there are where that is asked for."""
    found = _executions(request).read(asking.name, _service(request, asking, model, version), execution)
    if found is None:
        raise HTTPException(404)
    about = {"state": found.state, "completedItemCount": found.done, "totalItemCount": found.total}
    shown = found.results if found.state == "complete" or partial or partials else ()
    results = orjson.Fragment(b"[%b]" % b",".join(shown))
    return Response(orjson.dumps({**about, "batchExecutionResults": results}), media_type="application/json")


@router.delete("/{execution}")
async def cancel(request: Request, asking: Scorer, model: str, version: str, execution: str) -> dict[str, Any]:
    """End a batch, and forget it."""
    if not _executions(request).remove(asking.name, _service(request, asking, model, version), execution):
        raise HTTPException(404)
    return {}


@router.get("/{execution}/{index}/files")
@router.get("/{execution}/{index}/files/{name}")
def files(
    request: Request, asking: Scorer, model: str, version: str, execution: str, index: int, name: str | None = None
) -> list[str]:
    """The files of one result: there are none."""
    found = _executions(request).read(asking.name, _service(request, asking, model, version), execution)
    if found is None or name is not None or not 0 <= index < found.total:
        raise HTTPException(404)
    return []


def split(body: bytes) -> list[bytes]:
    """The records of a body, each as it was written. Raises ProblemError where the body is no array of objects."""
    try:
        text = body.decode()
        return list(_records(text))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ProblemError(
            problem("bad_body", "The body must be a JSON array of objects, one for each record.")
        ) from error


def _records(text: str) -> list[bytes]:
    read = json.JSONDecoder().raw_decode
    found: list[bytes] = []
    at = _after_space(text, 0)
    if text[at : at + 1] != "[":
        raise ValueError("no array")
    at = _after_space(text, at + 1)
    while text[at : at + 1] == "{" and len(found) <= MAX_RECORDS:
        _, end = read(text, at)
        found.append(text[at:end].encode())
        at = _after_space(text, end)
        if text[at : at + 1] != ",":
            break
        at = _after_space(text, at + 1)
        if text[at : at + 1] != "{":
            raise ValueError("no object")
    if len(found) > MAX_RECORDS:
        raise ProblemError(problem("invalid_input", f"A batch has at most {MAX_RECORDS} records. Send several."))
    if not found or text[at : at + 1] != "]" or _after_space(text, at + 1) != len(text):
        raise ValueError("no array of objects")
    return found


def _after_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _executions(request: Request) -> Executions:
    executions: Executions = request.app.state.executions
    return executions


def _service(request: Request, asking: Principal, model: str, version: str) -> str:
    """The path at which a service is asked, if there is such a service and the caller may ask it."""
    entry = found_service(request, asking, model, version)
    if not asking.may("score", model):
        raise Forbidden("score")
    return f"/api/{entry.name}/{entry.version}"
