"""The body of a request that is passed on while it comes in."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

HIGH_WATER_BYTES = 1 << 20
"""Pause the client once this much has come in that was not passed on."""


class ClientGone(Exception):
    """The client has hung up."""


class TooLarge(Exception):
    """The body is larger than this server passes on."""


class Sender(Protocol):
    """What a body asks of the connection that it comes by."""

    def go_on(self) -> None:
        """Have the client send the body, where it waits to be told."""

    def pause(self) -> None:
        """Read no more of the body for now."""

    def resume(self) -> None:
        """Read on."""


class Incoming:
    """The parts of a body, in order, for one reader: those that are here already, and those that follow."""

    def __init__(self, sender: Sender, max_bytes: int, parts: Sequence[bytes], ended: bool) -> None:
        self._sender = sender
        self._left_bytes = max_bytes
        self._parts = deque(parts)
        self._held_bytes = sum(map(len, parts))
        self._changed = asyncio.Event()
        self._ended = ended
        self._reader: asyncio.Task[object] | None = None
        self.gone = False

    # The connection's end

    def put(self, data: bytes) -> None:
        """A part has come in."""
        self._parts.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HIGH_WATER_BYTES:
            self._sender.pause()
        self._changed.set()

    def end(self) -> None:
        """There is no more."""
        self._ended = True
        self._changed.set()

    def lose(self) -> None:
        """Note that the client has hung up. What passes the body on ends, whatever it waits for."""
        self.gone = True
        if self._reader is not None:
            self._reader.cancel()
        self._changed.set()

    # The reader's end

    def ends_with(self, reader: asyncio.Task[object]) -> None:
        """Have this task cancelled when the client hangs up."""
        self._reader = reader
        if self.gone:
            reader.cancel()

    async def part(self) -> tuple[bytes, bool]:
        """The next part, and whether it is the last. Raises ClientGone or TooLarge."""
        self._sender.go_on()
        while not (self._parts or self._ended or self.gone):
            self._changed.clear()
            await self._changed.wait()
        if self.gone:
            raise ClientGone
        data = self._parts.popleft() if self._parts else b""
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise TooLarge
        if self._held_bytes > HIGH_WATER_BYTES >= self._held_bytes - len(data):
            self._sender.resume()
        self._held_bytes -= len(data)
        return data, self._ended and not self._parts
