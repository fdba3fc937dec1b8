"""The truth route: what turned out to be right, by the ids of the requests that were answered."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from auth.principal import Principal
from auth.routes import require
from server.web.problems import ProblemError, problem
from server.web.scoring.serving import Serving

router = APIRouter(prefix="/v1/truth", tags=["truth"])

Scorer = Annotated[Principal, Depends(require("score"))]


class Row(BaseModel):
    """What turned out to be right for one row of a request."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(min_length=1, max_length=128, description="As `X-Request-ID` of the answer had it.")
    row: int = Field(0, ge=0, lt=2**31, description="The row's place in the request, from 0.")
    value: float | str | bool | None = Field(description="As the model would have had to predict it.")


class Truth(BaseModel):
    """Rows of truth. Of several for the same row the one that came last counts."""

    model_config = ConfigDict(extra="forbid")

    rows: list[Row] = Field(min_length=1)


class Taken(BaseModel):
    """What was taken."""

    rows: int


@router.post("/{model}", status_code=202, responses={404: {}, 409: {}, 503: {}})
async def tell_truth(request: Request, model: str, truth: Truth, principal: Scorer) -> Taken:
    """Tell what turned out to be right for a model's or an endpoint's requests. It is kept once this is answered."""
    serving: Serving = request.app.state.serving
    snapshot = serving.snapshot
    names = {one.name for one in snapshot.entries} | {one.name for one in snapshot.endpoints}
    if model not in names or not principal.may("score", model):
        raise ProblemError(problem("not_found"))
    kept = await serving.collector.tell(model, [row.model_dump() for row in truth.rows])
    if kept is None:
        raise ProblemError(problem("not_collected"))
    if not kept:
        raise ProblemError(problem("recorder_unavailable"))
    return Taken(rows=len(truth.rows))
