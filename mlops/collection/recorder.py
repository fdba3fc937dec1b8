"""The recorder: takes copies from web processes into the spool, and what the spool holds into the store.

One thread receives; another makes parts and puts them into the store, and waits for it where it has to. The spool's
segments are the receiver's: the other thread is given those that are sealed, one at a time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import orjson

from mlops.collection.comparisons import Comparisons
from mlops.collection.ledger import Counts, add
from mlops.collection.spool import Spool
from server.unix_sockets import address
from server.wire.collect import ACKNOWLEDGED, HEAD, CollectError, Frames, Kind, Told

if TYPE_CHECKING:
    from mlops.collection.retention import Retention

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.1
TELL_EVERY_S: Final = 0.25
AGAIN_S: Final = (0.5, 30.0)
"""How long after a failure the store is tried again, in seconds: at first, and at most."""
LAST_S: Final = 10.0
"""How long the last uploads may take at the stop; what is left waits for the next start."""


class _Away(Exception):
    """The store cannot be reached; the text says why."""


class Recorder:
    """One recorder."""

    def __init__(self, spool: Spool, store: str, every_s: float, key: bytes) -> None:
        self._spool = spool
        self._store = store
        self._every_s = every_s
        self._key = key
        self._away = False
        self._retention: Retention | None = None
        self._comparisons = Comparisons()
        self._compared: tuple[Path, Counts] | None = None
        self._connections: set[_Connection] = set()
        self._stop = asyncio.Event()
        self._sealed = False
        """Whether the last segment is sealed, so that nothing follows what is there."""

    async def run(self, socket: Path) -> None:
        """Record until the supervisor says stop, or is gone."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # a terminal's Ctrl-C is for the supervisor to judge
        loop.add_reader(sys.stdin.fileno(), self._on_supervisor)
        socket.unlink(missing_ok=True)  # of a recorder that was killed
        with address(socket) as name:
            server = await loop.create_unix_server(
                lambda: _Connection(self._spool, self._comparisons, self._connections), name
            )
        uploading = asyncio.create_task(self._upload())
        telling = asyncio.create_task(self._keep_telling())
        await self._stop.wait()
        server.close()
        await self._drain()
        self._spool.seal()
        self._sealed = True
        await asyncio.wait({uploading}, timeout=LAST_S)
        telling.cancel()
        self._tell()

    def _on_supervisor(self) -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._stop.set()

    async def _drain(self) -> None:
        """Take what the web processes have sent; they are gone, or close their connections now."""
        for _ in range(20):
            if not self._connections:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def _upload(self) -> None:
        """Bring segments into the store, the oldest first, until there are none at the stop."""
        wait_s = AGAIN_S[0]
        while True:
            if self._spool.age_s >= self._every_s:
                self._spool.seal()
            if not self._spool.sealed:
                if self._sealed:
                    return
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            segment = self._spool.sealed[0]
            try:
                became = await asyncio.to_thread(self._put, segment)
            except _Away as e:
                if not self._away:
                    log.error("recordings wait for the store", extra={"reason": str(e)})
                self._away = True
                if self._stop.is_set():
                    return
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, AGAIN_S[1])
            else:
                self._away, wait_s = False, AGAIN_S[0]
                self._spool.done(segment, became)

    def _put(self, segment: Path) -> Counts:
        # Not before: a recorder that follows a killed one listens at once.
        from mlops.collection.parts import compare, described_in, upload
        from mlops.collection.retention import Retention
        from mlops.objects import Objects, StoreUnavailable

        try:
            objects, described = Objects(self._store), described_in(segment)
            if self._compared is None or self._compared[0] != segment:  # a segment is uploaded again, and compared once
                self._compared = segment, compare(segment, described, self._comparisons)
            became = upload(segment, described, self._spool.ledger.server, self._key, objects)
            self._retention = self._retention or Retention()
            self._retention.look(objects, described.values(), datetime.now(UTC).date())
            add(became, self._compared[1])
            return became
        except StoreUnavailable as e:
            raise _Away(str(e)) from e

    async def _keep_telling(self) -> None:
        while True:
            self._tell()
            await asyncio.sleep(TELL_EVERY_S)

    def _tell(self) -> None:
        spool = self._spool
        if spool.refused:  # what was told must not be taken back
            spool.refused = False
            spool.ledger.write()
        requests = {model: dict(+counts) for model, counts in spool.counts().items()}
        compared = {name: requests.pop(name) for name in [*requests] if "/" in name}
        told = Told(requests, compared, spool.bytes, spool.oldest_s, self._away)
        with suppress(BrokenPipeError):  # a supervisor that was killed; what is here goes to the store all the same
            sys.stdout.buffer.write(orjson.dumps(told.to_data()) + b"\n")
            sys.stdout.buffer.flush()


class _Connection(asyncio.Protocol):
    """A web process."""

    def __init__(self, spool: Spool, comparisons: Comparisons, all_of_them: set[_Connection]) -> None:
        self._spool = spool
        self._comparisons = comparisons
        self._all = all_of_them
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._all.add(self)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        try:
            received = list(self._frames.feed(data))
            frames = [(kind, frame) for kind, frame in received if kind is not Kind.QUESTION]
            there = self._spool.put(frames)
        except (CollectError, orjson.JSONDecodeError, KeyError) as e:
            log.error("a web process sent what is no recording", extra={"reason": str(e)})
            self._transport.abort()
            return
        if there:
            self._transport.write(ACKNOWLEDGED * sum(kind is Kind.TRUTH for kind, _ in frames))
        for frame in (frame for kind, frame in received if kind is Kind.QUESTION):
            self._transport.write(orjson.dumps(self._comparisons.told(frame[HEAD.size :].decode())) + b"\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.discard(self)


def key_of(folder: Path) -> bytes:
    """The key of masked columns, which is made once."""
    path = folder / "mask.key"
    if not path.exists():
        new = path.with_suffix(".new")
        new.write_bytes(secrets.token_bytes(32))  # open to nobody else, by the process's umask
        new.replace(path)
    return path.read_bytes()
