"""The output of processes that run models, copied line by line to the supervisor's log, with the name of their pool.

They write to a socket and not to the log itself. A pipe or a file could be opened again as /proc/self/fd/2, and so be
read, cut or overwritten by a model; a socket cannot.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from server import logs
from server.pools.recent import RECENT

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 1 << 16
MAX_BYTES_PER_S = 1 << 20
"""Output beyond this in one second is dropped, so that a model that prints for ever fills no disk."""
MAX_READ_PER_S = 1 << 24
"""Beyond this in one second reading pauses, so that a model that prints for ever does not keep the supervisor busy."""
ENDED_TIMEOUT_S = 1.0
LEVELS = logging.getLevelNamesMapping()
OURS = ("time", "level", "logger", "message")
"""The first fields of every line that our own processes log, in this order. Other lines were printed by a model."""


class Output(asyncio.Protocol):
    """Reads the output of one template and its forks, as long as one of them lives."""

    def __init__(self, pool: str, write: Callable[[Mapping[str, Any]], object] | None = None) -> None:
        self._pool = pool
        self._write = write or _to_the_log
        self._rest = b""
        self._second = 0
        self._bytes = 0
        self._dropped = 0
        self._ended = asyncio.Event()
        self._transport: asyncio.ReadTransport | None = None

    @staticmethod
    async def open(pool: str) -> tuple[Output, socket.socket]:
        """A new reader, and the socket to write to. The caller hands that to the template and closes its own copy."""
        ours, theirs = socket.socketpair()
        ours.shutdown(socket.SHUT_WR)
        ours.setblocking(False)
        _, output = await asyncio.get_running_loop().create_unix_connection(lambda: Output(pool), sock=ours)
        return output, theirs

    @property
    def has_ended(self) -> bool:
        """Whether the last process that could write here has ended, and all is in the log."""
        return self._ended.is_set()

    async def ended(self) -> None:
        """Wait until the last process has ended and all is in the log, but not for long. Nothing is read after that."""
        try:
            await asyncio.wait_for(self._ended.wait(), ENDED_TIMEOUT_S)
        except TimeoutError:
            log.warning("a process of the pool has not closed its output", extra={"pool": self._pool})
            if self._transport is not None:
                self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport that the output arrives by."""
        assert isinstance(transport, asyncio.ReadTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take a piece of output: whole lines go to the log, the rest waits for the next piece."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._take(line)
        if self._bytes > MAX_READ_PER_S and self._transport is not None:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(1.0, self._transport.resume_reading)

    def connection_lost(self, exc: Exception | None) -> None:
        """Write what is left: the last process that could write has ended."""
        if self._rest:
            self._take(self._rest)
        self._tell_dropped()
        self._ended.set()

    def _take(self, line: bytes) -> None:
        """Write a line, unless there have been too many in this second."""
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            self._tell_dropped()
            self._second, self._bytes = second, 0
        self._bytes += len(line)
        if self._bytes > MAX_BYTES_PER_S:
            self._dropped += 1
        elif line.strip():
            record = labelled(line, self._pool)
            RECENT.take(self._pool, record)
            self._write(record)

    def _tell_dropped(self) -> None:
        if self._dropped:
            text = f"{self._dropped} lines, more than 1 MiB in a second"
            log.warning("output was dropped", extra={"pool": self._pool, "text": text})
            self._dropped = 0


def labelled(line: bytes, pool: str) -> dict[str, Any]:
    """The line as it is written to the log, with its pool. A line that a model has printed becomes the text of one."""
    try:
        record = orjson.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict) or tuple(record)[: len(OURS)] != OURS:
        text = line.decode(errors="replace").rstrip()
        record = {"time": logs.now(), "level": "info", "logger": __name__, "message": "printed", "text": text}
    return record | {"pool": pool}


def _to_the_log(record: Mapping[str, Any]) -> None:
    # A model can print what looks like a line of ours, with anything for a level.
    if not log.isEnabledFor(LEVELS.get(str(record["level"]).upper(), logging.INFO)):
        return
    try:
        sys.stderr.write(orjson.dumps(record).decode() + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody reads it any more
        return
