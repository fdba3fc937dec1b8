"""`GET /`: a page for a browser, the text `Healthy` for anything else."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from server.web.routes.docs import page

router = APIRouter(include_in_schema=False)


@router.get("/")
async def root(request: Request) -> Response:
    """The console, or a word that load balancers understand."""
    if "text/html" in request.headers.get("accept", ""):
        return page("console.html")
    return PlainTextResponse("Healthy")
