"""What a deployment has written of late."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from auth.principal import Principal
from auth.routes import require
from server.web.problems import ProblemError, problem
from server.web.routes.endpoints import found, serving_of

router = APIRouter(prefix="/v1/endpoints", tags=["endpoints"])

Analyst = Annotated[Principal, Depends(require("details"))]


class Written(BaseModel):
    """Lines, the newest last."""

    text: str = Field(description="Each line begins with its time and level.")


@router.get("/{endpoint}/deployments/{deployment}/logs", responses={404: {}, 409: {}})
async def get_logs(
    request: Request,
    endpoint: str,
    deployment: str,
    principal: Analyst,
    lines: Annotated[int, Query(ge=1, le=500, description="How many, at most.")] = 50,
) -> Written:
    """The newest lines that a deployment's script or model has written at this server."""
    state = found(request, endpoint, principal, "details")
    versions = {(one.model, one.version) for one in state.deployments if one.name == deployment}
    if not versions:
        raise ProblemError(problem("not_found"))
    serving = serving_of(request)
    for entry in serving.snapshot.entries:
        if (entry.name, entry.version) in versions and not entry.remote:
            if not principal.may("details", entry.name):
                raise ProblemError(problem("forbidden"))
            if not entry.pool[-1:].isdigit():  # only pools of one model are numbered
                raise ProblemError(problem("conflict", SHARED))
            return Written(text=await serving.lines(entry.pool, lines))
    return Written(text="")


SHARED = (
    "The model shares its processes with others, so its lines are in the server's log alone. A scoring script, and a "
    "model with 'workers' in its sidecar, has processes of its own."
)
