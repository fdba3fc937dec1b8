"""The prefix under which a trusted proxy shows this server, so that documents can tell addresses that work outside."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

HEADER = b"x-forwarded-prefix"
KEY = "tandem.prefix"
_PREFIX = re.compile(rb"(/[A-Za-z0-9._~-]+)+")


def address(request: Request) -> str:
    """The address of this server as whoever asks sees it, without a slash at the end."""
    return str(request.base_url).rstrip("/") + prefix(request)


def prefix(request: Request) -> str:
    """What stands before the paths of this server for whoever asks; mostly nothing."""
    return str(request.scope.get(KEY, ""))


class Prefixed:
    """Notes the prefix that a proxy has taken off. In ASGI's `root_path` routes would take it off once more."""

    def __init__(self, proxies: list[str], app: ASGIApp) -> None:
        nothing: Any = None
        self._trusted = ProxyHeadersMiddleware(nothing, trusted_hosts=proxies).trusted_hosts
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI event stream. A prefix that is none, or that a client says, is not listened to."""
        if scope["type"] == "http" and (scope["client"] or ("",))[0] in self._trusted:
            said = next((value.rstrip(b"/") for name, value in scope["headers"] if name == HEADER), b"")
            if _PREFIX.fullmatch(said):
                scope = {**scope, KEY: said.decode()}
        await self._app(scope, receive, send)
