"""One worker as the supervisor sees it: whether it lives, has answered, drains or was killed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from functools import partial
from pathlib import Path

from server.pools.fork import Fork
from server.unix_sockets import address
from server.wire import frames
from server.wire.frames import FrameType

PING = frames.encode_frame(FrameType.PING)
DRAIN = frames.encode_frame(FrameType.DRAIN)


BOARD_SUFFIX = ".busy"
"""Ending of the file beside a worker's socket in which web processes tell each other who waits for it."""
END_MARGIN_S = 1.0
"""How long a worker may live on after its connection has ended. One that ends closes its sockets a moment before."""


class NeverAnswered(Exception):
    """A new worker ended or kept silent instead of answering its first PING."""


class Worker:
    """A forked worker and our connection to it, which is also its lifeline: it leaves when we are gone."""

    def __init__(
        self,
        name: str,
        slot: int,
        generation: int,
        socket_path: Path,
        scratch: Path,
        fork: Fork,
        read: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self.slot = slot
        self.generation = generation
        self.socket_path = socket_path
        self._scratch = scratch
        self.fork = fork
        self.read = read
        """The keys of all models that its template had ever read when it was forked."""
        self.killed_for: str | None = None
        self.changed: tuple[str, str] | None = None
        """The key of the model that has changed the worker for the others, and what it changed."""
        self._worn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        fork.when_ended(lambda: self._decide(False))
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None

    async def answer(self, timeout_s: float) -> None:
        """Wait until the worker has answered a PING. Raises NeverAnswered."""
        try:
            async with asyncio.timeout(timeout_s):
                with address(self.socket_path) as name:
                    reader, self._writer = await asyncio.open_unix_connection(name)
                self._writer.write(PING)
                decoder = frames.FrameDecoder(frames.MAX_CHANGED_BYTES)
                while not (got := decoder.feed(await _some(reader))):
                    pass
                if got[0].type is not FrameType.PONG:
                    raise NeverAnswered(self.name)
            self._listening = asyncio.create_task(self._listen(reader, decoder))
        except (OSError, EOFError, TimeoutError, frames.WireError) as e:
            raise NeverAnswered(self.name) from e

    async def worn(self) -> bool:
        """Wait until the worker asks to be replaced; False if it ends before."""
        return await asyncio.shield(self._worn)

    def _decide(self, worn: bool) -> None:
        if not self._worn.done():
            self._worn.set_result(worn)

    async def _listen(self, reader: asyncio.StreamReader, decoder: frames.FrameDecoder) -> None:
        """Hear what the worker has to say until it ends. One that talks nonsense or hangs up is killed."""
        try:
            while True:
                for frame in decoder.feed(await _some(reader)):
                    match frame.type:
                        case FrameType.RECYCLE:
                            pass
                        case FrameType.CHANGED:
                            self.changed = frames.decode_changed(frame.payload)
                        case _:
                            raise frames.WireError(f"a worker sends no {frame.type.name} to the supervisor")
                    self._decide(True)
        except frames.WireError:
            self.kill("wire")
        except (OSError, EOFError):
            await asyncio.sleep(END_MARGIN_S)
            self.kill("connection")  # it lives on, but nobody could tell it to leave

    def kill(self, reason: str) -> None:
        """Kill the worker (SIGKILL). Its end is counted under this reason."""
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
        if self._listening is not None:
            self._listening.cancel()
        if self._writer is not None:
            self._writer.close()
        self.socket_path.unlink(missing_ok=True)
        self.socket_path.with_name(self.socket_path.name + BOARD_SUFFIX).unlink(missing_ok=True)
        # In a thread: a model may have left more there than can be removed in a moment.
        asyncio.get_running_loop().run_in_executor(None, partial(shutil.rmtree, self._scratch, ignore_errors=True))


async def _some(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(4096)
    if not data:
        raise EOFError
    return data
