"""One worker as the supervisor sees it: alive or not, has answered or not, told to drain or killed."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from server.supervisor.fork import Fork
from server.wire import frames
from server.wire.frames import FrameType

PING = frames.encode_frame(FrameType.PING)
DRAIN = frames.encode_frame(FrameType.DRAIN)


class NeverAnswered(Exception):
    """A new worker ended or kept silent instead of answering its first PING."""


class Worker:
    """A forked worker and our connection to it, which is also its lifeline: it leaves when we are gone."""

    def __init__(self, name: str, slot: int, generation: int, socket_path: Path, fork: Fork) -> None:
        self.name = name
        self.slot = slot
        self.generation = generation
        self.socket_path = socket_path
        self.fork = fork
        self.killed_for: str | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def answer(self, timeout_s: float) -> None:
        """Wait until the worker has answered a PING. Raises NeverAnswered."""
        try:
            async with asyncio.timeout(timeout_s):
                reader, self._writer = await asyncio.open_unix_connection(str(self.socket_path))
                self._writer.write(PING)
                decoder = frames.FrameDecoder(max_payload_bytes=0)
                while not (got := decoder.feed(await _some(reader))):
                    pass
                if got[0].type is not FrameType.PONG:
                    raise NeverAnswered(self.name)
        except (OSError, EOFError, TimeoutError, frames.WireError) as e:
            raise NeverAnswered(self.name) from e

    def kill(self, reason: str) -> None:
        """SIGKILL; `reason` is what its end will be counted as."""
        if self.killed_for is None:
            self.killed_for = reason
        self.fork.kill()

    async def drain(self, timeout_s: float) -> None:
        """Let the worker finish what it holds and leave; kill it if that takes longer than `timeout_s`."""
        self.killed_for = "drained"
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(DRAIN)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.fork.ended(), timeout_s)
        self.fork.kill()
        await self.fork.ended()

    def forget(self) -> None:
        """Close what belongs to an ended worker."""
        if self._writer is not None:
            self._writer.close()
        self.socket_path.unlink(missing_ok=True)


async def _some(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(4096)
    if not data:
        raise EOFError
    return data
