"""HTTP/1.1 to other Tandem servers: what a relay needs of it, at a fraction of what a general client costs.

Connections are kept and reused, but none for longer than a minute: behind one address there may be many servers, and
those that came later are to have their share. Whatever the other side says that is no answer in valid HTTP ends its
connection and raises `Broken`.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import httptools

CONNECT_TIMEOUT_S = 2.0
IDLE_S = 15.0
RENEW_EVERY_S = 60.0
MOST_IDLE = 128
"""Connections to one server that are kept while nobody uses them."""
MAX_HEAD_BYTES = 64 << 10
HELD_BYTES = 1 << 20
"""An answer of up to this size is awaited whole. A longer one is passed on in parts, and read no faster than they are
taken."""


class Broken(Exception):
    """The other server cannot be reached, or did not answer in valid HTTP to the end."""


class Upstream:
    """One other server, and the connections to it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._host_line = b"host: %b\r\n" % parts.netloc.rpartition("@")[2].encode("idna")
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()

    async def send(
        self, method: bytes, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes | AsyncIterator[bytes]
    ) -> Response:
        """Send a request; return when its answer has begun, and has ended where it is short. Raises Broken.

        A body in parts is sent in chunks unless its length is among the headers.
        """
        connection = self._free() or await self._connect()
        sized = isinstance(body, bytes) or any(name == b"content-length" for name, _ in headers)
        lines = [b"%b %b HTTP/1.1\r\n" % (method, path.encode("latin-1")), self._host_line]
        lines += [b"%b: %b\r\n" % pair for pair in headers]
        lines.append(b"\r\n" if sized else b"transfer-encoding: chunked\r\n\r\n")
        try:
            response = connection.begin()
            if isinstance(body, bytes):
                connection.write(b"".join((*lines, body)))
            else:
                connection.write(b"".join(lines))
                await connection.write_all(body, chunked=not sized)
            await response.begun
        except BaseException:
            connection.close()
            raise
        return response

    def close(self) -> None:
        """Close all connections."""
        for connection in list(self._all):
            connection.close()

    def _free(self) -> _Connection | None:
        """A connection that nobody uses, the one that was used last, if it is neither too old nor idle for too long."""
        now = time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            if connection.open and now < min(connection.made + RENEW_EVERY_S, connection.used + IDLE_S):
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self, loop), self._host, self._port, ssl=self._tls
                )
        except (OSError, TimeoutError) as e:
            raise Broken(f"no connection: {type(e).__name__}") from e
        self._all.add(connection)
        return connection

    def released(self, connection: _Connection) -> None:
        """An answer has ended, and its connection can be used again."""
        if len(self._idle) < MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def lost(self, connection: _Connection) -> None:
        """A connection has ended."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


class Response:
    """An answer, while it comes in."""

    def __init__(self, connection: _Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._parts: deque[bytes] = deque()
        self._held_bytes = 0
        self._changed = asyncio.Event()
        self._error: Broken | None = None
        self.begun: asyncio.Future[None] = loop.create_future()
        """Done when the answer is whole, or is too long to be awaited whole."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        """The reply's headers, by their names in lower case."""
        self.whole = False

    def header(self, name: bytes) -> bytes:
        """The value of a header; empty where there is none."""
        return next((value for known, value in self.headers if known == name), b"")

    def body(self) -> bytes | None:
        """The whole body; None where it is too long to be held."""
        return b"".join(self._parts) if self.whole else None

    async def parts(self) -> AsyncIterator[bytes]:
        """The body in parts. Raises Broken where it ends early."""
        while True:
            while self._parts:
                part = self._parts.popleft()
                self._held_bytes -= len(part)
                if self._held_bytes <= HELD_BYTES:
                    self._connection.resume_reading()
                yield part
            if self._error is not None:
                raise self._error
            if self.whole:
                return
            self._changed.clear()
            await self._changed.wait()

    def cancel(self) -> None:
        """The answer is not wanted any more: end its connection, unless it is whole."""
        if not self.whole:
            self._connection.close()

    # From the connection

    def add(self, part: bytes) -> None:
        """A part of the body has come in."""
        self._parts.append(part)
        self._held_bytes += len(part)
        if self._held_bytes > HELD_BYTES:
            self._connection.pause_reading()
            self._begin()
        self._changed.set()

    def end(self) -> None:
        """The answer is whole."""
        self.whole = True
        self._begin()
        self._changed.set()

    def fail(self, reason: str) -> None:
        """There is no more, though there should be."""
        self._error = Broken(reason)
        if not self.begun.done():
            self.begun.set_exception(self._error)
            self.begun.exception()  # it may be that nobody awaits it any more
        self._changed.set()

    def _begin(self) -> None:
        if not self.begun.done():
            self.begun.set_result(None)


class _Connection(asyncio.Protocol):
    """One connection, with at most one request on it."""

    def __init__(self, upstream: Upstream, loop: asyncio.AbstractEventLoop) -> None:
        self._upstream = upstream
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._response: Response | None = None
        self._head_bytes = 0
        self._interim = False
        self._sending = False
        """Whether a body is being sent in parts: an answer before its end is the connection's last."""
        self._writable = asyncio.Event()
        self._writable.set()
        self.made = self.used = time.monotonic()
        self.open = False

    # For a request

    def begin(self) -> Response:
        """Take the answer to the next request."""
        self._head_bytes = 0
        response = self._response = Response(self, self._loop)
        self.resume_reading()
        if not self.open:
            response.fail("the connection has ended")
        return response

    def write(self, data: bytes) -> None:
        """Write a part of the request."""
        if self._transport is not None:
            self._transport.write(data)

    async def write_all(self, body: AsyncIterator[bytes], chunked: bool) -> None:
        """Write a body as it comes; what is left of it is dropped when the answer does not wait for it."""
        self._sending = True
        async for part in body:
            if part:
                self.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            await self._writable.wait()
            if self._response is None or self._response.begun.done():
                return
        if chunked:
            self.write(b"0\r\n\r\n")
        self._sending = False

    def close(self) -> None:
        """End the connection."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self) -> None:
        """Read no more for now."""
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._transport is not None and self.open and not self._transport.is_reading():
            self._transport.resume_reading()

    # From the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.open = True

    def data_received(self, data: bytes) -> None:
        if self._response is None:  # nobody has asked for anything
            self.close()
            return
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as e:
            self._fail(type(e).__name__)
            return
        if self._response is not None and not self._response.status and self._head_bytes > MAX_HEAD_BYTES:
            self._fail("a head without an end")

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._upstream.lost(self)
        self._writable.set()
        response, self._response = self._response, None
        if response is None:
            return
        if response.status and not (response.header(b"content-length") or response.header(b"transfer-encoding")):
            response.end()  # its end is the connection's
        else:
            response.fail("the connection has ended")

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # From the parser

    def on_message_begin(self) -> None:
        self._interim = False
        if self._response is None:  # nobody has asked for it, and it must not answer the next request
            self.close()
        else:
            self._response.headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._response is not None and not self._response.status:
            self._response.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._interim = 100 <= status < 200
        if not self._interim and self._response is not None:
            self._response.status = status

    def on_body(self, body: bytes) -> None:
        if self._response is not None:
            self._response.add(body)

    def on_message_complete(self) -> None:
        response = self._response
        if self._interim or response is None:
            self._head_bytes = 0
            return
        self._response = None
        self.used = time.monotonic()
        reusable = self._parser.should_keep_alive() and self.open and not self._sending
        response.end()
        if reusable:
            self._upstream.released(self)
        else:
            self.close()

    def _fail(self, reason: str) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.fail(reason)
        self.close()


def origin(url: str) -> tuple[str, str]:
    """The part of an address that says which server, and the rest: the path, with its query."""
    parts: Any = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", url[len(f"{parts.scheme}://{parts.netloc}") :]
