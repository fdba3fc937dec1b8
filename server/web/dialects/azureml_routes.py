"""The routes of an endpoint beside scoring, as the server in Azure ML's containers has them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import PlainTextResponse

from auth.principal import Principal
from auth.routes import require
from server.web.dialects.azureml import check_ids
from server.web.dialects.azureml_swagger import document
from server.web.dialects.endpoint_routes import answer, served


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


@router.get("/swagger.json")
@router.get("/versions/{version}/swagger.json")
async def swagger(
    request: Request,
    response: Response,
    asking: Reader,
    model: str,
    wanted: Annotated[str, Query(alias="version")] = "2",
) -> dict[str, Any]:
    """What the model takes and gives, in the version of Swagger that the query names."""
    entry = served(request, asking, model, request.path_params.get("version"))  # a query of that name is Swagger's
    response.headers["x-ms-run-function-failed"] = "False"
    base = request.url.path.removesuffix("/swagger.json")
    return document(entry, wanted, base, request.url.netloc, request.url.scheme)
