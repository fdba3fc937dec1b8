"""`GET /v1/catalog`: what this server has, for other Tandem servers that answer for it at their address."""

from __future__ import annotations

import hashlib
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request, Response

from auth.principal import Principal
from auth.routes import require
from server.wire.snapshot import Snapshot

router = APIRouter(include_in_schema=False)


class PeerCatalog:
    """A snapshot as other servers are told of it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.serial = snapshot.serial
        # Not what other servers have, else two could send a request back and forth; nor what is no model.
        self.body = orjson.dumps({"entries": [entry for entry in snapshot.entries if entry.pool and not entry.remote]})
        self.etag = f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'


@router.get("/v1/catalog")
async def catalog(request: Request, _: Annotated[Principal, Depends(require("catalog"))]) -> Response:
    """Every model version that is here; nothing but the headers for a server that has this list already."""
    state = request.app.state
    listed: PeerCatalog | None = getattr(state, "peer_catalog", None)
    if listed is None or listed.serial != state.serving.snapshot.serial:
        listed = state.peer_catalog = PeerCatalog(state.serving.snapshot)
    headers = {"etag": listed.etag, "cache-control": "no-store"}
    if request.headers.get("if-none-match") == listed.etag:
        return Response(status_code=304, headers=headers)
    return Response(listed.body, media_type="application/json", headers=headers)
