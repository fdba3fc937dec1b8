"""The routes of an endpoint beside scoring, as the servers of one model have them: is it there, and which Tandem."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException

from auth.principal import Principal
from auth.routes import require
from server import __version__
from server.web.problems import Stop, problem
from server.wire.snapshot import Snapshot

router = APIRouter(prefix="/endpoints/{model}", include_in_schema=False)

Reader = Annotated[Principal, Depends(require("list"))]


@router.get("/ping")
@router.get("/health")
async def ping(request: Request, model: str, asking: Reader) -> Response:
    """Whether the model is served, with the members that clients of one kind and another read."""
    return answer(request, model, asking, JSONResponse({"status": "online", "time": _now(), "ping": "pong"}))


@router.get("/version")
async def version(request: Request, model: str, asking: Reader) -> Response:
    """Tandem's version."""
    return answer(request, model, asking, PlainTextResponse(__version__))


def answer(request: Request, model: str, asking: Principal, answer: Response) -> Response:
    """The answer to give, if the model is served. Raises HTTPException or Stop."""
    snapshot: Snapshot = request.app.state.serving.snapshot
    declared = next((one for one in snapshot.endpoints if one.name == model), None)
    found = [entry for entry in snapshot.entries if entry.name == model]
    if not (declared or found) or not asking.may("list", model):
        raise HTTPException(404)
    if declared is not None:
        behind = {(one.model, one.version) for one in declared.deployments}
        found = [entry for entry in snapshot.entries if (entry.name, entry.version) in behind]
    if not any(entry.state == "ready" if declared is not None else entry.current for entry in found):
        raise Stop(problem("no_worker"))
    return answer


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
