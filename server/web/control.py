"""The socket to the supervisor: catalogs come in, confirmations and requests to end a worker go out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson

from server.unix_sockets import address
from server.wire.control import Confirmed, Kill
from server.wire.snapshot import Snapshot

SNAPSHOT_MAX_BYTES = 1 << 30


class Control:
    """This web process's connection to the supervisor."""

    def __init__(self) -> None:
        self._writer: asyncio.StreamWriter | None = None

    @property
    def connected(self) -> bool:
        """Whether the supervisor leads this process at present."""
        return self._writer is not None

    async def follow(self, hub: Path, switch: Callable[[Snapshot], Awaitable[None]]) -> None:
        """Hand each catalog to `switch` and confirm it once it is in force, until the supervisor is gone.

        Raises OSError where the socket cannot be reached or breaks.
        """
        with address(hub) as name:
            reader, self._writer = await asyncio.open_unix_connection(name, limit=SNAPSHOT_MAX_BYTES)
        try:
            while line := await reader.readline():
                snapshot = Snapshot.from_data(orjson.loads(line))
                await switch(snapshot)
                self._send(Confirmed(snapshot.serial))
        finally:
            self.close()
            self._writer = None

    def kill(self, worker: str, reason: str) -> None:
        """Have the supervisor end a worker."""
        self._send(Kill(worker, reason))

    def close(self) -> None:
        """Close the connection."""
        if self._writer is not None:
            self._writer.close()

    def _send(self, message: Confirmed | Kill) -> None:
        if self._writer is not None:
            self._writer.write(orjson.dumps(message.to_data()) + b"\n")
