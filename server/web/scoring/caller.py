"""What the scoring route asks of the connection that a request came by."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol


class Caller(Protocol):
    """One request, and the way to answer it."""

    method: bytes
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    """The headers by their names in lower case."""

    @property
    def client(self) -> str:
        """The address that the connection comes from."""

    def vouched(self) -> None:
        """Note that the client has shown a good token."""

    def go_on(self) -> None:
        """Have the client send the body, where it waits to be told."""

    def pause(self) -> None:
        """Read no more of the body for now."""

    def resume(self) -> None:
        """Read on."""

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have the loop do this for the request."""

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        """Answer. `head` holds the lines of the headers, the body's length among them."""

    def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Begin an answer whose body comes in parts."""

    async def send(self, data: bytes) -> None:
        """Send a part of the body; returns when the client has taken enough of what was sent before."""

    def end(self) -> None:
        """The body of the answer is whole."""

    def cut(self) -> None:
        """End the connection at once: a reply that has begun cannot be finished."""
