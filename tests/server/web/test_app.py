"""A web process and its supervisor: it takes no connection before it has a catalog, and ends when nobody leads it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from auth.setup import prepare
from server.config import Settings
from server.web.app import WebApp
from server.wire.snapshot import Snapshot

SNAPSHOT = orjson.dumps(Snapshot(7, (), {}, complete=True)) + b"\n"


class Started:
    """A web application whose start is under way, and the supervisor's end of its control connection."""

    def __init__(self, app: WebApp, connected: Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
        self._connected = connected
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self.told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.told.put_nowait({"type": "lifespan.startup"})
        self.running = asyncio.create_task(app({"type": "lifespan", "state": {}}, self.told.get, self._say))

    async def connect(self) -> None:
        self.reader, self.writer = await self._connected

    async def _say(self, message: Any) -> None:
        self.said.put_nowait(message["type"])


@pytest.fixture
def ended() -> Iterator[asyncio.Event]:
    """Set when the process tells itself to end."""
    event = asyncio.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: event.set())
    yield event
    signal.signal(signal.SIGTERM, before)


def start(tmp_path: Path, test: Callable[[Started], Awaitable[None]]) -> None:
    settings = Settings(data=tmp_path / "data")
    prepare(settings.data, time.time())

    async def run() -> None:
        connected: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        hub = await asyncio.start_unix_server(lambda *both: connected.set_result(both), tmp_path / "hub.sock")
        started = Started(WebApp(settings, tmp_path), connected)
        async with asyncio.timeout(10):
            await started.connect()
            await test(started)
            started.told.put_nowait({"type": "lifespan.shutdown"})
            await started.running
        started.writer.close()
        hub.close()

    asyncio.run(run())


def test_it_starts_when_it_has_a_catalog_and_not_before(tmp_path: Path, ended: asyncio.Event) -> None:
    """Else it would answer that there are no models, in place of the process that it replaces."""

    async def test(started: Started) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(started.said.get(), 0.3)
        started.writer.write(SNAPSHOT)
        assert await started.said.get() == "lifespan.startup.complete"
        assert orjson.loads(await started.reader.readline()) == {"confirmed": 7}

    start(tmp_path, test)
    assert not ended.is_set()


@pytest.mark.parametrize("last", [b"", b"nonsense\n", b"{}\n", SNAPSHOT + b"[]\n"])
def test_it_ends_when_nobody_leads_it(tmp_path: Path, ended: asyncio.Event, last: bytes) -> None:
    """It would serve the catalog of that moment for ever."""

    async def test(started: Started) -> None:
        started.writer.write(last)
        started.writer.write_eof()
        assert await started.said.get() == "lifespan.startup.complete"
        await ended.wait()

    start(tmp_path, test)
