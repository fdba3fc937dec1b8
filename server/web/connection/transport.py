"""A transport that writes once per turn of the event loop, and that can end its own half of a connection first.

uvicorn writes the head and the body of a reply apart, which costs two system calls and wakes the client twice. Here
all that is written in one turn of the event loop is joined: a third of the time per request was spent in those calls
(docs/adr/0002-joined-writes.md).
"""

from __future__ import annotations

import asyncio
from typing import Any

LARGE_BYTES = 1 << 16
"""A piece of this size or more is written by itself: to copy it behind another costs more than a second write."""


class JoinedWrites:
    """Writes at the end of the event loop's turn what was written during it."""

    __slots__ = ("_loop", "_parts", "_transport", "closed", "ended", "lingers")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self.lingers = False
        """The client may still be sending. To close now would reset the connection, and the reply with it."""
        self.closed = False
        """We have closed it, or our half of it."""
        self.ended = False
        """Our half is closed, the other is read until the client is done."""

    def write(self, data: bytes) -> None:
        """Write `data` before the loop's next turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def write_whole(self, head: bytes, body: bytes) -> None:
        """Write a whole reply at once, behind what waits to be written."""
        if self._parts:
            self._parts += (head, body)
        elif not self.is_closing():
            if len(body) > LARGE_BYTES:
                self._transport.write(head)
                self._transport.write(body)
            else:
                self._transport.write(head + body)

    def close(self) -> None:
        """Write what is waiting, then close; only our own half where the client may still be sending."""
        self._flush()
        self.closed = True
        if not self.lingers:
            self._transport.close()
        elif not self.ended and not self._transport.is_closing():
            self.ended = True
            self._transport.write_eof()

    def is_closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self.ended or self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._transport.get_write_buffer_size()

    def _flush(self) -> None:
        if self._parts:
            data, self._parts = b"".join(self._parts), []
            if not self.is_closing():
                self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
