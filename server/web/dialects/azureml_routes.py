"""The routes of an endpoint beside scoring, as the server in Azure ML's containers has them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse

from auth.principal import Principal
from auth.routes import require
from server.web.dialects.azureml import check_ids
from server.web.dialects.endpoint_routes import answer


def _fit_ids(request: Request) -> None:
    """Refuse ids that are too long."""
    check_ids(dict(request.scope["headers"]))


router = APIRouter(prefix="/endpoints/{model}", include_in_schema=False, dependencies=[Depends(_fit_ids)])

Reader = Annotated[Principal, Depends(require("list"))]


@router.get("")
@router.get("/")
async def healthy(request: Request, model: str, asking: Reader) -> Response:
    """Whether the model is served, as a text."""
    return answer(request, model, asking, PlainTextResponse("Healthy"))
