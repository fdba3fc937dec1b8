"""One request and its reply through ASGI, as uvicorn does it.

Different are a reply that comes before the end of the body, and the form of a failure.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, cast

from uvicorn._types import ASGISendEvent, HTTPScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from server.web.connection.exchange import HIGH_WATER_BYTES
from server.web.connection.limits import ConnectionLimits
from server.web.connection.transport import JoinedWrites


class Cycle(RequestResponseCycle):
    """One request and its reply."""

    limits: ConnectionLimits

    def feed(self, data: bytes) -> None:
        """Take a part of the body."""
        if not self.response_complete:
            self.body += data
            if len(self.body) > HIGH_WATER_BYTES:
                self.flow.pause_reading()
            self.message_event.set()

    def finish(self) -> None:
        """The body is whole."""
        self.more_body = False
        self.message_event.set()

    def lose(self) -> None:
        """The client has hung up."""
        if not self.response_complete:
            self.disconnected = True
        self.message_event.set()

    def send(self, message: ASGISendEvent) -> Coroutine[Any, Any, None]:
        """Send a part of the reply. One that does not wait for the end of the body is the connection's last."""
        if self.more_body and not self.response_started:
            self.keep_alive = False
            cast(JoinedWrites, self.transport).lingers = True
        return super().send(message)

    async def send_500_response(self) -> None:
        """The application failed without an answer. Routes answer for themselves: this is for what is around them."""
        status, headers, body = self.limits.refusal("internal_error", None, self.scope["headers"], sys.exception())
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})


def asgi_scope(
    protocol: HttpToolsProtocol, version: str, method: bytes, path: str, raw_path: bytes, query: bytes
) -> HTTPScope:
    """A request as an ASGI application is told of it. `tandem.caller` is the connection."""
    return {  # type: ignore[typeddict-unknown-key]  # ASGI leaves room for ours
        "type": "http",
        "asgi": {"version": protocol.asgi_version, "spec_version": "2.3"},
        "http_version": version,
        "server": protocol.server,
        "client": protocol.client,
        "scheme": protocol.scheme or "http",
        "method": method.decode("ascii"),
        "root_path": protocol.root_path,
        "path": path,
        "raw_path": raw_path,
        "query_string": query,
        "headers": protocol.headers,
        "state": protocol.app_state.copy(),
        "tandem.caller": protocol,
    }


def asgi_cycle(
    protocol: HttpToolsProtocol, limits: ConnectionLimits, scope: HTTPScope, expects: bool, keep_alive: bool
) -> Cycle:
    """The cycle of a request; one that `expects` is told to send its body when the application reads it."""
    cycle = Cycle(
        scope=scope,
        transport=protocol.transport,
        flow=protocol.flow,
        logger=protocol.logger,
        access_logger=protocol.access_logger,
        access_log=protocol.access_log,
        default_headers=protocol.server_state.default_headers,
        message_event=asyncio.Event(),
        expect_100_continue=expects,
        keep_alive=keep_alive,
        on_response=protocol.on_response_complete,
    )
    cycle.limits = limits
    return cycle
