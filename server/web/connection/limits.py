"""What one web process bears from its clients: the limits of a connection, and the sweep that holds all to them.

One timer for all connections looks at each twice a second, so that a request costs no timer of its own. It counts the
looks and not the clock: where this process itself was held up, no client is blamed for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from starlette.types import Receive, Scope, Send

from server.config import Settings
from server.web.connection.domain import of_domain
from server.web.problems import Code, problem
from server.web.request_id import RequestIds

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 0.5
SPARE_CONNECTIONS = 64
"""Connections beyond the limit that are taken to be told so; what asks for /health/ is answered."""
SPARE_HEADER_TIMEOUT_S = 2.0
LINGER_S = 2.0
"""How long an idle connection is kept when the process stops, and a refused one while its client still sends."""


class Connection(Protocol):
    """What the limits ask of a connection."""

    loop: asyncio.AbstractEventLoop

    @property
    def answering(self) -> bool:
        """Whether a request of it is being answered."""

    def look(self, passed_s: float) -> None:
        """Judge what the connection does now; the last look was `passed_s` ago."""

    def cut(self) -> None:
        """End the connection at once."""


class ConnectionLimits:
    """The limits of one web process."""

    def __init__(self, settings: Settings, on_refusal: Callable[[str], None] = lambda _: None) -> None:
        self._on_refusal = on_refusal
        self.max_connections = settings.max_connections
        self.header_timeout_s = settings.header_timeout_s
        self.keepalive_s = settings.keepalive_s
        self.body_timeout_s = settings.timeout_s
        self.meant = of_domain(settings.endpoint_domain)
        """What a host and a path mean together, where endpoints have names of their own."""
        self.draining = False
        """The process stops: every reply is the last of its connection."""
        self._connections: set[Connection] = set()
        self._spare: dict[Connection, None] = {}
        self._strangers: dict[Connection, None] = {}
        """Connections that have shown no good token; first the one that was answered or opened longest ago."""
        self._refused: Counter[Code] = Counter()
        self._request_ids = RequestIds()
        self._timer: asyncio.TimerHandle | None = None

    # Connections

    def opened(self, connection: Connection) -> bool:
        """Note a new connection; whether it is one of the spare ones, beyond the limit."""
        self._connections.add(connection)
        if self._timer is None:
            self._timer = connection.loop.call_later(SWEEP_EVERY_S, self._sweep, connection.loop)
        if len(self._connections) - len(self._spare) > self.max_connections and not self._room_made():
            self._make_room()
            self._spare[connection] = None
            return True
        self._strangers[connection] = None
        return False

    def answered(self, connection: Connection) -> None:
        """A stranger was answered: of those that are idle it is now the last to go."""
        if self._strangers.pop(connection, self) is None:
            self._strangers[connection] = None

    def vouched(self, connection: Connection) -> None:
        """A connection has shown a good token: it stays, however many others come."""
        self._strangers.pop(connection, None)

    def closed(self, connection: Connection) -> None:
        """A connection has ended."""
        self._connections.discard(connection)
        self._spare.pop(connection, None)
        self._strangers.pop(connection, None)

    def _room_made(self) -> bool:
        """Hang up on the stranger that has been idle longest, so that nobody keeps others out by doing nothing."""
        idle = next((c for c in self._strangers if not c.answering), None)
        if idle is None:
            return False
        self.closed(idle)
        idle.cut()
        self._on_refusal("too_many_connections")
        return True

    def _make_room(self) -> None:
        """Close the oldest connection that waits for no answer if there are too many: a probe must get in."""
        if len(self._spare) < SPARE_CONNECTIONS:
            return
        oldest = next((c for c in self._spare if not c.answering), next(iter(self._spare)))
        self.closed(oldest)
        oldest.cut()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(SWEEP_EVERY_S, self._sweep, loop) if self._connections else None
        for connection in list(self._connections):
            connection.look(SWEEP_EVERY_S)
        if self._refused:
            counts = ", ".join(f"{code} {count} times" for code, count in self._refused.items())
            log.warning("refused before any route saw it", extra={"reason": counts})
            self._refused.clear()

    # Refusals

    def refusal(
        self, code: Code, detail: str | None, headers: Iterable[tuple[bytes, bytes]], error: BaseException | None = None
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body of a refusal that ends its connection; `error` is why, where it is our fault."""
        request_id = self._request_ids.of(dict(headers))
        if code == "internal_error":
            log.error("a request failed outside of any route", exc_info=error, extra={"request_id": request_id})
        else:
            self._refused[code] += 1
        self._on_refusal(code)
        return problem(code, detail).message(request_id, close=True)

    async def too_many_connections(self, scope: Scope, _: Receive, send: Send) -> None:
        """The ASGI application of a spare connection that asks for anything but its health."""
        status, headers, body = self.refusal("too_many_connections", None, scope["headers"])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
