"""Health: whether this process lives, and whether it can answer for its models."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from auth.errors import AccountsUnavailable, Forbidden, Unauthenticated
from auth.routes import require
from server.web.scoring.serving import Serving

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """`reasons` says, by pool, why the server is not ready; `sandbox` how far each pool's processes are locked up.

    Both are absent for whoever may not see details, unless the documentation is open to everybody.
    """

    status: str
    reasons: dict[str, str] | None = None
    sandbox: dict[str, str] | None = None


@router.get("/live", response_model_exclude_none=True)
async def live() -> Health:
    """Whether the process answers at all."""
    return Health(status="live")


@router.get("/ready", responses={503: {"model": Health}}, response_model_exclude_none=True)
async def ready(request: Request, response: Response) -> Health:
    """Whether every pool that has models has a worker that has answered since it started."""
    serving: Serving = request.app.state.serving
    reasons = serving.not_ready()
    if reasons:
        response.status_code = 503
    health = Health(status="not ready" if reasons else "ready")
    if request.app.state.settings.docs == "open" or await _sees_details(request):
        health.reasons = reasons
        health.sandbox = {name: pool.sandbox for name, pool in serving.snapshot.pools.items() if pool.sandbox}
    return health


async def _sees_details(request: Request) -> bool:
    """Whether a token was sent that allows it; a probe without one is no failed attempt."""
    if "authorization" not in request.headers:
        return False
    try:
        return (await require("details")(request, None)).may("details", "*")
    except (AccountsUnavailable, Forbidden, Unauthenticated):
        return False
