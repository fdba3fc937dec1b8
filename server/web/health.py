"""Health: whether this process lives, and whether it can answer for its models."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from server.web.serving import Serving

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """`reasons` says, by pool, why the server is not ready; `sandbox` how far each pool's processes are locked up."""

    status: str
    reasons: dict[str, str] = {}
    sandbox: dict[str, str] = {}


@router.get("/live")
async def live() -> Health:
    """Whether the process answers at all."""
    return Health(status="live")


@router.get("/ready", responses={503: {"model": Health}})
async def ready(request: Request, response: Response) -> Health:
    """Whether every pool that has models has a worker that has answered since it started."""
    serving: Serving = request.app.state.serving
    reasons = serving.not_ready()
    if reasons:
        response.status_code = 503
    sandbox = {name: pool.sandbox for name, pool in serving.snapshot.pools.items() if pool.sandbox}
    return Health(status="not ready" if reasons else "ready", reasons=reasons, sandbox=sandbox)
