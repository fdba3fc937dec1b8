"""What `TANDEM_ROOT_TARGET` has answer at the root beside scoring, open to the probes of load balancers."""

from __future__ import annotations

from fastapi import APIRouter, Request

from server.web.dialects.endpoint_routes import online, ready
from server.web.problems import ProblemError, problem

router = APIRouter(include_in_schema=False)


@router.get("/ping")
@router.get("/health")
async def ping(request: Request) -> dict[str, str]:
    """Whether the model is served that answers at the root."""
    target = request.app.state.settings.root_target
    if not target:
        raise ProblemError(problem("not_found"))
    ready(request.app.state.serving.snapshot, target)
    return online()
