"""The control socket of the web processes: pushes snapshots, hears which are in force, passes on requests to kill.

One line of JSON a message. To a web process: a snapshot. From it: `{"confirmed": serial}` once it has switched, and
`{"kill": worker, "reason": …}` for a worker that is still busy with a call whose deadline has passed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

import orjson

from server.catalog.snapshot import Snapshot

log = logging.getLogger(__name__)

CONFIRM_TIMEOUT_S = 10.0


class _Peer:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.confirmed = 0


class Hub:
    """All web processes, as the supervisor sees them."""

    def __init__(self, on_kill: Callable[[str, str], None]) -> None:
        self._on_kill = on_kill
        self._peers: set[_Peer] = set()
        self._line = b""
        self._serial = 0
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def start(self, path: Path) -> None:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._serve, str(path))

    async def stop(self) -> None:
        """Close every connection."""
        if self._server is not None:
            self._server.close()
        for peer in self._peers:
            peer.writer.close()
        while self._peers:  # a handler that is still there when the loop ends would end in a traceback
            self._changed.clear()
            await self._changed.wait()

    async def push(self, snapshot: Snapshot) -> None:
        """Send a snapshot to everybody and wait until all who are connected have switched to it."""
        self._line, self._serial = orjson.dumps(snapshot) + b"\n", snapshot.serial
        for peer in self._peers:
            peer.writer.write(self._line)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONFIRM_TIMEOUT_S):
                await self.confirmed(snapshot.serial)

    async def confirmed(self, serial: int, peers: int = 0) -> None:
        """Wait until at least `peers` web processes are connected and all of them have confirmed `serial`."""
        while len(self._peers) < peers or any(p.confirmed < serial for p in self._peers):
            self._changed.clear()
            await self._changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _Peer(writer)
        self._peers.add(peer)
        if self._line:
            writer.write(self._line)
        try:
            while line := await reader.readline():
                self._hear(peer, orjson.loads(line))
        except (OSError, ValueError):
            log.warning("a web process broke its control connection")
        finally:
            self._peers.discard(peer)
            self._changed.set()
            writer.close()

    def _hear(self, peer: _Peer, message: dict[str, object]) -> None:
        if "confirmed" in message:
            peer.confirmed = int(str(message["confirmed"]))
            self._changed.set()
        elif "kill" in message:
            self._on_kill(str(message["kill"]), str(message["reason"]))
