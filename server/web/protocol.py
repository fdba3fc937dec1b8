"""The HTTP protocol of the web processes: uvicorn's, with each reply's head and body leaving in one write.

uvicorn writes the head and the body of a reply apart, which costs two system calls and wakes the client twice. Here
all that is written in one turn of the event loop is joined: a third of the time per request was spent in those calls
(docs/adr/0002-joined-writes.md).
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# uvicorn stops reading a body at 64 KiB until the application has taken that much: 160 stops for 10 MB.
httptools_impl.HIGH_WATER_LIMIT = 1 << 20  # type: ignore[attr-defined]


class Protocol(HttpToolsProtocol):
    """uvicorn's httptools protocol over a transport that joins writes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(cast(asyncio.Transport, JoinedWrites(transport, self.loop)))


class JoinedWrites:
    """A transport that writes at the end of the event loop's turn what was written during it."""

    __slots__ = ("_loop", "_parts", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Write `data` before the loop's next turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Write what is waiting, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            data, self._parts = b"".join(self._parts), []
            if not self._transport.is_closing():
                self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
