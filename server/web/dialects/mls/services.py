"""The services of Machine Learning Server: each version of a model is one, with what it takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException

from auth.principal import Principal
from auth.routes import require
from server.web.dialects.mls.scoring import NO_SERVICE, output_name
from server.web.json_schema import is_raw
from server.web.problems import ProblemError, problem
from server.wire.schema import Input, Schema
from server.wire.snapshot import Entry, Snapshot

router = APIRouter(include_in_schema=False)

Reader = Annotated[Principal, Depends(require("list"))]
OPERATION = "consume"
"""What the function of a service is called, where its sidecar does not say."""
SCRIPT_OUTPUT = "result"
"""What the output of a script is called, where its sidecar does not say."""
INPUT_TYPES = {"numeric": "numeric", "integer": "integer", "logical": "logical"}
OUTPUT_TYPES = {
    "number": "numeric",
    "integer": "integer",
    "logical": "logical",
    "columns": "data.frame",
    "ranking": "data.frame",
    "tensor": "vector",
}
"""The types of inputs and of outputs; all others are texts."""


class Catalog(Protocol):
    """What is served at the moment."""

    snapshot: Snapshot


@router.get("/services")
@router.get("/services/{model}")
@router.get("/services/{model}/{version}")
async def services(
    request: Request, asking: Reader, model: str | None = None, version: str | None = None
) -> list[dict[str, Any]]:
    """The services that there are, the version that a client without a wish takes as the last of each model."""
    found = [
        entry
        for entry in served(request)
        if asking.may("list", entry.name) and model in (None, entry.name) and version in (None, entry.version)
    ]
    if model is not None and not found:
        raise HTTPException(404)
    return [service(entry) for entry in sorted(found, key=_order)]


@router.post("/services/{model}")
@router.post("/services/{model}/{version}")
@router.patch("/services/{model}/{version}")
@router.delete("/services/{model}/{version}")
@router.post("/realtime-services/{model}")
@router.post("/realtime-services/{model}/{version}")
@router.patch("/realtime-services/{model}/{version}")
@router.get("/computenodes")
@router.get("/computenodes/{rest:path}")
@router.get("/sessions")
@router.post("/sessions")
@router.api_route("/sessions/{rest:path}", methods=["GET", "POST", "PATCH", "DELETE"])
@router.get("/snapshots")
@router.post("/snapshots")
@router.api_route("/snapshots/{rest:path}", methods=["GET", "POST", "DELETE"])
async def not_done(request: Request, _: Reader) -> None:
    """Refuse: a service is its file, and a session would be whatever code somebody sends."""
    raise ProblemError(problem("not_implemented"))


def served(request: Request) -> list[Entry]:
    """Every version that answers requests."""
    catalog: Catalog = request.app.state.serving
    return [entry for entry in catalog.snapshot.entries if entry.state == "ready" and entry.name != NO_SERVICE]


def found_service(request: Request, asking: Principal, model: str, version: str) -> Entry:
    """The version that is asked for. Whoever may not see a model is told what is told of one that is not there."""
    for entry in served(request):
        if (entry.name, entry.version) == (model, version) and asking.may("list", model):
            return entry
    raise HTTPException(404)


def service(entry: Entry) -> dict[str, Any]:
    """A version of a model as a service. What is not known is left out: the clients' schema has no null."""
    return {
        "name": entry.name,
        "version": entry.version,
        "creationTime": datetime.fromtimestamp(entry.modified, UTC).isoformat(timespec="seconds"),
        "runtimeType": "R" if entry.runtime == "r" else "Python",
        "description": entry.description,
        "operationId": operation_id(entry),
        "inputParameterDefinitions": definitions(inputs(entry)),
        "outputParameterDefinitions": definitions([output(entry)]),
        "outputFileNames": [],
        "myPermissionOnService": "read",
    }


def operation_id(entry: Entry) -> str:
    """What the function of a service is called."""
    return str((entry.service or {}).get("operation_id") or OPERATION)


def inputs(entry: Entry) -> list[tuple[str, str]]:
    """The inputs of a service, each with its type: of a horizon model its options, of a script none are known."""
    if is_raw(entry):
        return []
    schema = Schema.from_data(entry.schema or {})
    if schema.horizon:
        return [(option.name, INPUT_TYPES.get(option.type, "character")) for option in schema.options]
    return [(spec.name, _input_type(spec)) for spec in schema.inputs]


def output(entry: Entry) -> tuple[str, str]:
    """The output of a service, with its type: the one that the model gives where none is asked for."""
    if is_raw(entry):
        return output_name(entry) or SCRIPT_OUTPUT, "character"  # by which clients take a value as it is
    schema = Schema.from_data(entry.schema or {})
    first = schema.outputs[0]
    kind = OUTPUT_TYPES.get(first.type, "character")
    return output_name(entry) or first.name, "vector" if schema.horizon and kind != "data.frame" else kind


def definitions(named: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """Names with types, as Machine Learning Server lists them."""
    return [{"name": name, "type": kind} for name, kind in named]


def _input_type(spec: Input) -> str:
    if spec.type == "tensor":
        return "vector" if len(spec.shape or ()) < 2 else "matrix"
    return INPUT_TYPES.get(spec.type, "character")


def _order(entry: Entry) -> tuple[str, bool, float]:
    return entry.name, entry.current, entry.modified
