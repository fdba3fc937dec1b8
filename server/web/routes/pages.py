"""The pages for a browser: the console at `/`, Swagger UI at `/docs`, and the files that they load.

Swagger UI's files are packaged; no page loads anything from another host.
"""

from __future__ import annotations

from pathlib import Path

import fastapi_swagger
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse

from server.web.problems import ProblemError, problem

router = APIRouter(include_in_schema=False)

PAGES = Path(__file__).with_name("pages")
SWAGGER = Path(fastapi_swagger.__file__).with_name("resources")
SWAGGER_ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
ASSETS = (*SWAGGER_ASSETS, "sign-in.js", "docs.js", "console.js", "console.css")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@router.get("/")
async def root(request: Request) -> Response:
    """The console for a browser; for anything else the text `Healthy`, which load balancers understand."""
    if "text/html" in request.headers.get("accept", ""):
        return _page(request, "console.html")
    return PlainTextResponse("Healthy")


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Swagger UI. The page itself tells nothing; what it shows comes from /openapi.json."""
    if request.app.state.settings.docs == "off":
        raise ProblemError(problem("not_found"))
    return _page(request, "docs.html")


@router.get("/assets/{name}")
async def asset(name: str) -> Response:
    """A file of the pages."""
    if name not in ASSETS:
        raise ProblemError(problem("not_found"))
    folder = SWAGGER if name in SWAGGER_ASSETS else PAGES
    media_type = {"css": "text/css", "js": "text/javascript", "png": "image/png"}[name.rpartition(".")[2]]
    return FileResponse(folder / name, media_type=media_type, headers={"cache-control": "no-cache"})


def _page(request: Request, name: str) -> Response:
    """One of our pages, with a policy that lets it load nothing from elsewhere; it asks for no password in vain."""
    headers = {"content-security-policy": CONTENT_SECURITY_POLICY, "cache-control": "no-cache"}
    if request.app.state.settings.passwords == "on":
        return FileResponse(PAGES / name, media_type="text/html", headers=headers)
    text = (PAGES / name).read_text().replace('<form id="sign-in"', '<form id="sign-in" class="no-passwords"')
    return HTMLResponse(text, headers=headers)
