"""The comparison route: how the answers of a mirrored deployment compare with those that callers got."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from auth.principal import Principal
from auth.routes import require
from server.web.problems import ProblemError, problem
from server.web.scoring.serving import Serving

router = APIRouter(prefix="/v1/endpoints", tags=["endpoints"])

Analyst = Annotated[Principal, Depends(require("details"))]


class Comparison(BaseModel):
    """Two model versions that answer beside each other, since the recorder began."""

    live: dict[str, str] = Field(description="The deployment, model and version that callers were answered by.")
    mirror: dict[str, str] = Field(description="Those that answered copies.")
    requests: dict[str, int] = Field(description="How many pairs came to what: equal, differ, only_live and so on.")
    outputs: dict[str, Any] = Field(description="By output or column: rows, differences, rank correlation, confusion.")
    predict_seconds: dict[str, dict[str, float]] = Field(description="Quantiles of the time of predicting, of both.")
    worst: list[dict[str, Any]] = Field(description="The rows that are furthest apart.")


@router.get("/{endpoint}/comparison", responses={404: {}, 503: {}})
async def get_comparison(request: Request, endpoint: str, principal: Analyst) -> list[Comparison]:
    """How the answers of the endpoint's mirror compare, one report for each pair of versions. It is a minute behind."""
    serving: Serving = request.app.state.serving
    if not any(one.name == endpoint for one in serving.snapshot.endpoints) or not principal.may("details", endpoint):
        raise ProblemError(problem("not_found"))
    found = await serving.collector.comparisons(endpoint)
    if found is None:
        raise ProblemError(problem("recorder_unavailable"))
    return [Comparison.model_validate(one) for one in found]
