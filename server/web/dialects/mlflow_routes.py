"""What MLflow's deployments client asks beside predictions: which endpoints are there."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException

from auth.principal import Principal
from auth.routes import require
from server.wire.snapshot import Snapshot

router = APIRouter(prefix="/api/2.0/endpoints", include_in_schema=False)

Reader = Annotated[Principal, Depends(require("list"))]


@router.get("")
@router.get("/")
async def endpoints(request: Request, asking: Reader) -> dict[str, Any]:
    """Every endpoint and every model that is served, by name."""
    return {"endpoints": [_described(name) for name in _names(request, asking)], "next_page_token": None}


@router.get("/{model}")
async def endpoint(request: Request, asking: Reader, model: str) -> dict[str, Any]:
    """One of them."""
    if model not in _names(request, asking):
        raise HTTPException(404)
    return _described(model)


def _names(request: Request, asking: Principal) -> list[str]:
    snapshot: Snapshot = request.app.state.serving.snapshot
    served = {entry.name for entry in snapshot.entries if entry.current and entry.state == "ready"}
    return sorted(name for name in served | {one.name for one in snapshot.endpoints} if asking.may("list", name))


def _described(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "endpoint_type": "model",
        "model": {"name": name, "provider": "tandem"},
        "endpoint_url": f"/endpoints/{name}/invocations",
        "limit": None,
    }
