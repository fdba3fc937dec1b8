"""The routes of an endpoint beside scoring, as servers of one model have them: is it there, what does it take?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException

from auth.principal import Principal
from auth.routes import require
from server import __version__
from server.web.dialects import vetiver_metadata
from server.web.problems import ProblemError, problem
from server.wire.snapshot import EndpointState, Entry, Snapshot

router = APIRouter(prefix="/endpoints/{model}", include_in_schema=False)

Reader = Annotated[Principal, Depends(require("list"))]


@router.get("/ping")
@router.get("/health")
async def ping(request: Request, model: str, asking: Reader) -> dict[str, str]:
    """Whether the model is served."""
    served(request, asking, model)
    return online()


@router.get("/version")
async def version(request: Request, model: str, asking: Reader) -> Response:
    """Tandem's version."""
    return answer(request, model, asking, PlainTextResponse(__version__))


@router.get("/metadata")
@router.get("/versions/{version}/metadata")
async def metadata(request: Request, asking: Reader, model: str, version: str | None = None) -> dict[str, Any]:
    """A model's metadata, as vetiver has it."""
    return vetiver_metadata.metadata(served(request, asking, model, version))


@router.get("/prototype")
@router.get("/versions/{version}/prototype")
async def prototype(request: Request, asking: Reader, model: str, version: str | None = None) -> dict[str, Any]:
    """What a row holds, as vetiver has it."""
    return vetiver_metadata.prototype(served(request, asking, model, version))


@router.get("/openapi.json")
@router.get("/versions/{version}/openapi.json")
async def openapi(request: Request, asking: Reader, model: str, version: str | None = None) -> dict[str, Any]:
    """The OpenAPI document of one model, by vetiver's routes."""
    return vetiver_metadata.document(served(request, asking, model, version))


def answer(request: Request, model: str, asking: Principal, answer: Response) -> Response:
    """The answer to give, if the model is served. Raises HTTPException or ProblemError."""
    served(request, asking, model)
    return answer


def served(request: Request, asking: Principal, model: str, version: str | None = None) -> Entry:
    """The version that answers. Whoever may not see a model is told what is told of one that is not there."""
    if not asking.may("list", model):
        raise HTTPException(404)
    return ready(request.app.state.serving.snapshot, model, version)


def ready(snapshot: Snapshot, model: str, version: str | None = None) -> Entry:
    """The version that answers, whoever is asking. Raises HTTPException or ProblemError."""
    declared = next((one for one in snapshot.endpoints if one.name == model), None) if version is None else None
    found = [entry for entry in snapshot.entries if entry.name == model and version in (None, entry.version)]
    if not (declared or found):
        raise HTTPException(404)
    able = _deployed(declared, snapshot) if declared else [one for one in found if one.current or version is not None]
    for entry in able:
        if entry.state == "ready":
            return entry
    raise ProblemError(problem("no_worker"))


def _deployed(endpoint: EndpointState, snapshot: Snapshot) -> list[Entry]:
    """The versions behind an endpoint. The first is that which answers most requests, so it speaks for all."""
    entries = {(entry.name, entry.version): entry for entry in snapshot.entries}
    by_share = sorted(endpoint.deployments, key=lambda one: -endpoint.traffic.get(one.name, 0))
    behind = ((one.model, one.version) for one in by_share)
    return [entries[which] for which in behind if which in entries]


def online() -> dict[str, str]:
    """That a model is served, with the members that clients of one kind and another read."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"status": "online", "time": now, "ping": "pong"}
