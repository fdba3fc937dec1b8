"""One request and its reply, without ASGI: for a route that takes requests from the connection itself.

A cycle of ASGI costs a task, an event and some messages for each request, which is more than all the rest of scoring
(docs/adr/0024-the-direct-way.md). Here the connection calls the route, and the route writes its reply in one piece.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from server.web.connection.transport import JoinedWrites

HIGH_WATER_BYTES = 1 << 20
"""Pause reading once this much of a body is buffered and unread. uvicorn pauses at 64 KiB, which for a 10 MB body means
160 pauses."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Call(Protocol):
    """What a connection asks of the answering of one request, in this order. None of it may raise."""

    def part(self, data: bytes) -> None:
        """Take a part of the body."""

    def whole(self) -> None:
        """The body has come in, all of it."""

    def gone(self) -> None:
        """The client has hung up before it was answered."""


class DirectRoute(Protocol):
    """A route that takes requests from the connection itself."""

    def leads(self, path: str) -> bool:
        """Whether requests for this path are its own."""

    def begin(self, exchange: Exchange) -> Call:
        """Begin to answer a request, of which the head has come in. Must not raise."""


class Owner(Protocol):
    """What an exchange asks of its connection."""

    transport: JoinedWrites
    flow: FlowControl
    server_state: ServerState
    loop: asyncio.AbstractEventLoop
    client: tuple[str, int] | None
    on_gone: Callable[[], object] | None

    def on_response_complete(self) -> None:
        """A request has been answered."""

    def vouched(self) -> None:
        """The client has shown a good token."""

    def cut(self) -> None:
        """End the connection at once."""


class Exchange:
    """A request, as its route sees it, and the way to answer it."""

    __slots__ = (
        "_chunked",
        "_early",
        "_expects",
        "_http10",
        "_owner",
        "call",
        "disconnected",
        "headers",
        "keep_alive",
        "method",
        "more_body",
        "path",
        "query",
        "response_complete",
        "response_started",
    )

    def __init__(
        self,
        owner: Owner,
        method: bytes,
        path: str,
        query: bytes,
        headers: dict[bytes, bytes],
        http10: bool,
        keep_alive: bool,
    ) -> None:
        self._owner = owner
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        """The headers by their names in lower case; of a header that came twice, the last."""
        self.keep_alive = keep_alive
        self.call: Call | None = None
        """What answers this request, from the moment when it is its turn."""
        self.more_body = True
        self.response_started = False
        self.response_complete = False
        self.disconnected = False
        self._http10 = http10
        self._expects = headers.get(b"expect", b"").lower() == b"100-continue"
        self._early: list[bytes] = []
        self._chunked = False

    @property
    def client(self) -> str:
        """The address that the connection comes from."""
        return self._owner.client[0] if self._owner.client else ""

    # From the connection

    def begin(self, route: DirectRoute) -> None:
        """It is this request's turn: hand it to the route, with what has come in of its body."""
        self.call = route.begin(self)
        if not self.response_complete:
            self._owner.on_gone = self.call.gone
        early, self._early = self._early, []
        for data in early:
            self.feed(data)
        if not self.more_body and not self.response_complete:
            self.call.whole()

    def feed(self, data: bytes) -> None:
        """Take a part of the body."""
        if self.response_complete:
            return
        if self.call is not None:
            self.call.part(data)
            return
        self._early.append(data)
        if sum(map(len, self._early)) > HIGH_WATER_BYTES:
            self.pause()

    def finish(self) -> None:
        """The body is whole."""
        self.more_body = False
        if self.call is not None and not self.response_complete:
            self.call.whole()

    def lose(self) -> None:
        """The client has hung up."""
        if not self.response_complete:
            self.disconnected = True

    # From the route

    def vouched(self) -> None:
        """Note that the client has shown a good token: other connections are closed before this one."""
        self._owner.vouched()

    def go_on(self) -> None:
        """Have the client send the body, where it waits to be told."""
        if self._expects and self.more_body and not self.disconnected:
            self._expects = False
            self._owner.transport.write(CONTINUE)

    def pause(self) -> None:
        """Read no more of the body for now."""
        self._owner.flow.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._owner.flow.resume_reading()

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have the loop do this for the request; the process waits for it before it ends."""
        tasks = self._owner.server_state.tasks
        task = self._owner.loop.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        """Answer. `head` holds the lines of the headers, the body's length among them."""
        transport = self._begin_reply()
        lines = b"".join((STATUS_LINE[status], self._defaults(), head, self._last_lines()))
        transport.write_whole(lines, body if self.method != b"HEAD" else b"")
        self._end_reply()

    def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Begin an answer whose body comes in parts; it is sent in chunks where its length is not among the headers."""
        transport = self._begin_reply()
        sized = any(name == b"content-length" for name, _ in headers)
        self._chunked = not (sized or self._http10)
        if self._http10 and not sized:
            self.keep_alive = False
        head = join(headers) + (b"transfer-encoding: chunked\r\n" if self._chunked else b"")
        transport.write(b"".join((STATUS_LINE[status], self._defaults(), head, self._last_lines())))

    async def send(self, data: bytes) -> None:
        """Send a part of the body; returns when the client has taken enough of what was sent before."""
        if data and not self.disconnected and self.method != b"HEAD":
            self._owner.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
            await self._owner.flow.drain()

    def end(self) -> None:
        """The body of the answer is whole."""
        if self._chunked and self.method != b"HEAD":
            self._owner.transport.write(b"0\r\n\r\n")
        self._end_reply()

    def cut(self) -> None:
        """End the connection at once: a reply that has begun cannot be finished."""
        self._owner.cut()

    def _begin_reply(self) -> JoinedWrites:
        """A reply that does not wait for the end of the body is the connection's last."""
        if self.response_started:
            raise RuntimeError("the reply to this request has begun before")
        self.response_started = True
        transport = self._owner.transport
        if self.more_body:
            self.keep_alive = False
            transport.lingers = True
        return transport

    def _defaults(self) -> bytes:
        return _defaults.lines(self._owner.server_state)

    def _last_lines(self) -> bytes:
        return b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"

    def _end_reply(self) -> None:
        self.response_complete = True
        if not self.keep_alive:
            self._owner.transport.close()
        self._owner.on_response_complete()


class _Defaults:
    """The headers that every reply has, written once a second: uvicorn keeps the date among them."""

    def __init__(self) -> None:
        self._headers: object = None
        self._lines = b""

    def lines(self, state: ServerState) -> bytes:
        headers = state.default_headers
        if headers is not self._headers:
            self._headers, self._lines = headers, join(headers)
        return self._lines


_defaults = _Defaults()


def join(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as lines."""
    return b"".join(b"%b: %b\r\n" % pair for pair in headers)
