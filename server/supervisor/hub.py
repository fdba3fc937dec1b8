"""The control socket of the web processes: pushes snapshots, hears which are in force, passes on what they ask for.

One line of JSON a message. To a web process: a snapshot, or the answer to what it asked. From it: the
messages of `server/wire/control.py`.

No web process can hold up or fill up the supervisor: one that reads slowly is sent only the newest snapshot when it has
taken the one before, and one that does not follow in time, or talks nonsense, is let go. It ends, and gunicorn starts
another.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson

from server.unix_sockets import address
from server.wire.control import Answer, Confirmed, Kill, Question, message
from server.wire.snapshot import Snapshot

log = logging.getLogger(__name__)

CONFIRM_TIMEOUT_S = 10.0
MAX_MESSAGE_BYTES = 1 << 20
"""A change has a definition in it, whose body was 64 KiB at most; written as JSON inside of JSON it is longer."""
UCRED = struct.Struct("3i")


class _Peer:
    """One web process. `due` is set while it has not been sent the newest snapshot."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size)
        self.pid: int = UCRED.unpack(credentials)[0]
        self.writer = writer
        self.confirmed = 0
        self.due = asyncio.Event()


class Hub:
    """All web processes, as the supervisor sees them."""

    def __init__(
        self,
        on_kill: Callable[[str, str], None],
        on_question: Callable[[Question], Awaitable[Answer]],
    ) -> None:
        self._on_kill = on_kill
        self._on_question = on_question
        self._answering: set[asyncio.Task[None]] = set()
        self._peers: set[_Peer] = set()
        self._line = b""
        self._serial = 0
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def pids(self) -> set[int]:
        """Process ids of the web processes that serve: they are connected and have switched to a snapshot."""
        return {p.pid for p in self._peers if p.confirmed}

    async def start(self, path: Path) -> None:
        """Listen on a socket at this path."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with address(path) as name:
            listener.bind(name)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_MESSAGE_BYTES)

    async def stop(self) -> None:
        """Close every connection."""
        if self._server is not None:
            self._server.close()
        for peer in self._peers:
            peer.writer.transport.abort()  # not close: what one does not read would keep it open
        while self._peers:  # a handler that is still there when the loop ends would end in a traceback
            await self.change()

    async def push(self, snapshot: Snapshot) -> None:
        """Send a snapshot to all web processes and wait until each has switched to it or has been let go."""
        self._line, self._serial = orjson.dumps(snapshot.to_data()) + b"\n", snapshot.serial
        for peer in self._peers:
            peer.due.set()
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT_S):
                await self.confirmed(snapshot.serial)
        except TimeoutError:
            self._let_go_of_those_behind(snapshot.serial)

    async def confirmed(self, serial: int, peers: int = 0) -> None:
        """Wait until at least `peers` web processes are connected and all of them have confirmed `serial`."""
        while len(self._peers) < peers or any(p.confirmed < serial for p in self._peers):
            await self.change()

    async def change(self) -> None:
        """Wait until a web process has come, switched or gone."""
        self._changed.clear()
        await self._changed.wait()

    def _let_go_of_those_behind(self, serial: int) -> None:
        for peer in self._peers:
            if peer.confirmed < serial:
                log.error("a web process does not follow and is let go", extra={"pid": peer.pid})
                peer.writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _Peer(writer)
        self._peers.add(peer)
        if self._line:
            peer.due.set()
        sending = asyncio.create_task(self._send(peer))
        try:
            while line := await reader.readline():
                self._hear(peer, message(orjson.loads(line)))
        except (OSError, ValueError):
            log.warning("a web process broke its control connection", extra={"pid": peer.pid})
        finally:
            sending.cancel()
            self._peers.discard(peer)
            self._changed.set()
            writer.transport.abort()

    async def _send(self, peer: _Peer) -> None:
        """Write the newest snapshot, whenever there is one and what was written before has been taken."""
        while await peer.due.wait():
            peer.due.clear()
            peer.writer.write(self._line)
            try:
                await peer.writer.drain()
            except OSError:
                return  # the reader sees it too

    async def _answer(self, peer: _Peer, question: Question) -> None:
        answer = await self._on_question(question)
        peer.writer.write(orjson.dumps(answer.to_data()) + b"\n")

    def _hear(self, peer: _Peer, said: Confirmed | Kill | Question) -> None:
        match said:
            case Confirmed():
                peer.confirmed = min(said.confirmed, self._serial)
                self._changed.set()
            case Kill():
                self._on_kill(said.kill, said.reason)
            case _:
                answering = asyncio.create_task(self._answer(peer, said))
                self._answering.add(answering)
                answering.add_done_callback(self._answering.discard)
