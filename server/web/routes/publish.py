"""Model versions that come over HTTP, as a tar of the folder that they will be."""

from __future__ import annotations

import asyncio
import re
import tempfile
from typing import IO, Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from auth.audit import Act
from auth.principal import Principal
from auth.routes import require
from auth.routes.closed import auth_of
from server.catalog.publish import AlreadyThere, BadArchive, NoRoom, publish, remove
from server.config import Settings
from server.web.problems import ProblemError, problem
from server.web.routes.endpoints import serving_of

router = APIRouter(prefix="/v1/models", tags=["models"])

Publisher = Annotated[Principal, Depends(require("publish"))]
ARCHIVE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
IN_MEMORY_BYTES = 1 << 20


_PATH = re.compile(r"/v1/models/[^/]+/versions/[^/]+")


def takes(path: str) -> bool:
    """Whether archives come in at this path."""
    return _PATH.fullmatch(path) is not None


class Published(BaseModel):
    """A version that was put into a model folder. `GET /v1/models/{model}` tells what becomes of it."""

    model: str
    version: str
    runtime: Literal["r", "python"] = Field(description="Whose model folder it lies in.")


@router.put(
    "/{model}/versions/{version}",
    status_code=201,
    responses={code: {} for code in (404, 409, 413, 503)},
    openapi_extra={"requestBody": {"required": True, "content": ARCHIVE}},
)
async def put_version(request: Request, model: str, version: str, principal: Publisher, r: bool = False) -> Published:
    """Put a version into the folder of R's models (`r`) or of all others: a tar of its files, plain or compressed.

    It needs TANDEM_PUBLISH=on. What is in it is code of whoever sends it, and is tried and locked up as all models are.
    """
    settings = _settings(request, model, principal)
    folder = settings.r_models if r else settings.python_models
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as archive:
        await _receive(request, archive, settings.max_body_bytes)
        try:
            await asyncio.to_thread(publish, archive, folder, model, version)
        except AlreadyThere as e:
            raise ProblemError(problem("conflict", "There is such a version already; a version never changes.")) from e
        except BadArchive as e:
            raise ProblemError(problem("bad_archive", f"The archive is not unpacked: {e}.")) from e
        except NoRoom as e:
            raise ProblemError(problem("store_unavailable", f"The model folder cannot be written to: {e}.")) from e
    await _record(request, Act("model.published", f"{model}:{version}"))
    return Published(model=model, version=version, runtime="r" if r else "python")


@router.delete("/{model}/versions/{version}", status_code=204, responses={code: {} for code in (404, 409, 503)})
async def delete_version(request: Request, model: str, version: str, principal: Publisher) -> None:
    """Remove a version that came over HTTP and that no deployment names. What it is asked meanwhile is answered."""
    settings = _settings(request, model, principal)
    serving = serving_of(request)
    for endpoint in serving.snapshot.endpoints:
        for one in endpoint.deployments:
            if (model, version) in ((one.model, one.version), one.coming):
                raise ProblemError(
                    problem("conflict", f"The deployment '{one.name}' of '{endpoint.name}' names this version.")
                )
    try:
        places = (settings.python_models, settings.r_models)
        removed = [await asyncio.to_thread(remove, folder, model, version) for folder in places]
    except NoRoom as e:
        raise ProblemError(problem("store_unavailable", f"The model folder cannot be written to: {e}.")) from e
    if not any(removed):
        raise ProblemError(problem("not_found"))
    await _record(request, Act("model.removed", f"{model}:{version}"))


def _settings(request: Request, model: str, principal: Principal) -> Settings:
    """The settings, for whoever may publish this model here. Raises ProblemError."""
    settings: Settings = request.app.state.settings
    if not principal.may("publish", model):
        raise ProblemError(problem("forbidden" if principal.may("list", model) else "not_found"))
    if settings.publish != "on":
        raise ProblemError(problem("conflict", "This server takes models from its folders alone (TANDEM_PUBLISH)."))
    return settings


async def _record(request: Request, act: Act) -> None:
    auth = auth_of(request)
    await auth.login.writing.run(auth.accounts.audit.write, act, auth.clock())


async def _receive(request: Request, archive: IO[bytes], most: int) -> None:
    """The body, written where it is read from. Who sends it is known by now."""
    async for piece in request.stream():
        if archive.tell() + len(piece) > most:
            raise ProblemError(problem("body_too_large", "The archive is larger than TANDEM_MAX_BODY_MB allows."))
        await asyncio.to_thread(archive.write, piece)
    archive.seek(0)
