"""The setting by which one endpoint answers at the root, for clients that know an address and no path."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

NAMES = ("score", "invocations", "predict", "version", "metadata", "prototype", "swagger.json")
"""What is asked at the root too. `/ping` and `/health` are routes of their own, since they are open."""


def aliases(target: str) -> Mapping[str, str]:
    """Each path at the root with the path that it means; none where no endpoint was named."""
    return {f"/{name}": f"/endpoints/{target}/{name}" for name in NAMES} if target else {}


class RootAlias:
    """Leads requests that are no scoring requests from the root to the endpoint."""

    def __init__(self, app: ASGIApp, aliases: Mapping[str, str]) -> None:
        self._app = app
        self._aliases = aliases

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI event stream."""
        meant = self._aliases.get(scope.get("path", ""))
        await self._app(scope if meant is None else {**scope, "path": meant}, receive, send)
