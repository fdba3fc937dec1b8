"""One request and its reply: uvicorn's, but for a reply that comes before the end of the body, and a failure's form."""

from __future__ import annotations

import sys
from collections.abc import Coroutine
from typing import Any, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from server.web.connection.limits import ConnectionLimits
from server.web.connection.transport import JoinedWrites


class Cycle(RequestResponseCycle):
    """One request and its reply."""

    limits: ConnectionLimits

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
