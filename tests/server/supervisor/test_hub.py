"""The hub and web processes that do not behave: none of them may hurt the supervisor or the others."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from server.supervisor import hub as hub_module
from server.supervisor.hub import Hub
from server.wire.control import Answer, EndpointChange, EndpointChanged, LinesTold, Question
from server.wire.snapshot import PoolState, Snapshot

LARGE = "x" * (8 << 20)


def snapshot(serial: int, reason: str = "") -> Snapshot:
    return Snapshot(serial, (), {"r": PoolState(1, {}, reason)}, complete=True)


class Peer:
    """A web process as the hub sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def serial(self) -> int:
        """That of the next snapshot that comes."""
        return int(orjson.loads(await self.reader.readline())["serial"])

    def say(self, line: bytes) -> None:
        self.writer.write(line + b"\n")

    def confirm(self, serial: int) -> None:
        self.say(orjson.dumps({"confirmed": serial}))


class Started:
    """A hub that listens, with the kills it was asked for."""

    def __init__(self, path: Path) -> None:
        self.killed: list[tuple[str, str]] = []
        self.hub = Hub(lambda worker, reason: self.killed.append((worker, reason)), self._answer)
        self._path = path

    async def _answer(self, question: Question) -> Answer:
        if isinstance(question, EndpointChange):
            return EndpointChanged(question.change, detail=question.endpoint)
        return LinesTold(question.lines, f"{question.most} lines of {question.pool}")

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        reader, writer = await asyncio.open_unix_connection(str(self._path), limit=1 << 30)
        try:
            yield Peer(reader, writer)
        finally:
            writer.transport.abort()


def with_hub(tmp_path: Path, test: Callable[[Started], Awaitable[None]]) -> None:
    async def run() -> None:
        path = tmp_path / "hub.sock"
        started = Started(path)
        await started.hub.start(path)
        async with asyncio.timeout(20):
            await test(started)
            await started.hub.stop()

    asyncio.run(run())


def test_a_push_ends_when_all_have_switched_and_who_comes_later_gets_it_too(tmp_path: Path) -> None:
    async def test(started: Started) -> None:
        async with started.peer() as one, started.peer() as two:
            pushing = asyncio.create_task(started.hub.push(snapshot(1)))
            for peer in (one, two):
                assert await peer.serial() == 1
                assert not pushing.done()
                peer.confirm(1)
            await pushing
            assert started.hub.pids == {os.getpid()}
            async with started.peer() as late:
                assert await late.serial() == 1
                one.say(b'{"kill": "r-1.1", "reason": "deadline"}')
                late.confirm(1)
                await started.hub.confirmed(1, peers=3)
                while not started.killed:
                    await started.hub.change()
        assert started.killed == [("r-1.1", "deadline")]

    with_hub(tmp_path, test)


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"\xff\xfe",
        b"[]",
        b"5",
        b"null",
        b'{"confirmed": "1"}',
        b'{"confirmed": 1e999}',
        b'{"kill": 1, "reason": "deadline"}',
        b'{"kill": "r-1.1"}',
        b'{"change": 1, "action": "burn", "endpoint": "cars"}',
        b"[" * 10_000,
        b"x" * (1 << 20),
    ],
    ids=lambda line: repr(line[:20]),
)
def test_who_talks_nonsense_is_let_go_and_harms_nobody(tmp_path: Path, line: bytes) -> None:
    async def test(started: Started) -> None:
        await started.hub.push(snapshot(1))
        async with started.peer() as bad, started.peer() as good:
            await bad.serial()
            await good.serial()
            good.confirm(1)
            bad.say(line)
            with pytest.raises(ConnectionError):
                if not await bad.reader.read(1):
                    raise ConnectionError
            await started.hub.confirmed(1, peers=1)
            pushing = asyncio.create_task(started.hub.push(snapshot(2)))
            assert await good.serial() == 2
            good.confirm(2)
            await pushing
        assert started.killed == []

    with_hub(tmp_path, test)


def test_a_change_is_answered_to_who_asked_for_it(tmp_path: Path) -> None:
    async def test(started: Started) -> None:
        async with started.peer() as one, started.peer() as two:
            for number, peer in enumerate((one, two)):
                peer.say(orjson.dumps({"change": 7, "action": "delete", "endpoint": f"e{number}"}))
            for number, peer in enumerate((one, two)):
                answer = orjson.loads(await peer.reader.readline())
                assert (answer["changed"], answer["detail"]) == (7, f"e{number}")
            one.say(b'{"lines": 8, "pool": "script1", "most": 5}')
            assert orjson.loads(await one.reader.readline()) == {"told": 8, "text": "5 lines of script1"}

    with_hub(tmp_path, test)


def test_a_confirmation_of_what_was_never_sent_does_not_count_for_later(tmp_path: Path) -> None:
    async def test(started: Started) -> None:
        await started.hub.push(snapshot(1))
        async with started.peer() as peer:
            await peer.serial()
            peer.confirm(1000)
            await started.hub.confirmed(1, peers=1)
            pushing = asyncio.create_task(started.hub.push(snapshot(2)))
            assert await peer.serial() == 2
            assert not pushing.done()
            peer.confirm(2)
            await pushing

    with_hub(tmp_path, test)


def test_who_does_not_read_is_kept_one_snapshot_and_sent_the_newest_when_he_does(tmp_path: Path) -> None:
    async def test(started: Started) -> None:
        async with started.peer() as slow:
            slow.reader._transport.pause_reading()  # type: ignore[attr-defined]  # no public way to leave data unread
            pushes = []
            for serial in range(1, 9):
                pushes.append(asyncio.create_task(started.hub.push(snapshot(serial, LARGE))))
                await asyncio.sleep(0)
            [peer] = started.hub._peers or [None]
            while peer is None:
                await asyncio.sleep(0)
                [peer] = started.hub._peers or [None]
            for _ in range(100):
                await asyncio.sleep(0)
            assert peer.writer.transport.get_write_buffer_size() < 2 * len(LARGE)
            slow.reader._transport.resume_reading()
            serials = [await slow.serial()]
            while serials[-1] < 8:
                serials.append(await slow.serial())
            assert len(serials) <= 2
            slow.confirm(8)
            await asyncio.gather(*pushes)

    with_hub(tmp_path, test)


def test_who_does_not_follow_in_time_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would serve a catalog of before, and each change would wait for it."""
    monkeypatch.setattr(hub_module, "CONFIRM_TIMEOUT_S", 0.2)

    async def test(started: Started) -> None:
        async with started.peer() as stuck, started.peer() as good:
            pushing = asyncio.create_task(started.hub.push(snapshot(1)))
            await good.serial()
            good.confirm(1)
            await stuck.serial()
            await pushing
            with pytest.raises(ConnectionError):
                if not await stuck.reader.read(1):
                    raise ConnectionError
            await started.hub.confirmed(1, peers=1)

    with_hub(tmp_path, test)


def test_the_hub_stops_though_somebody_does_not_read(tmp_path: Path) -> None:
    async def test(started: Started) -> None:
        async with started.peer() as slow:
            slow.reader._transport.pause_reading()
            pushing = asyncio.create_task(started.hub.push(snapshot(1, LARGE)))
            while not started.hub._peers:
                await asyncio.sleep(0)
            await started.hub.stop()
            await pushing

    with_hub(tmp_path, test)
