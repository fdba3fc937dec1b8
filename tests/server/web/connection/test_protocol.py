"""The protocol without a network: what a connection may take, by the sweep's looks and not by the clock.

All of it holds for both ways of answering: through ASGI, and by a route that takes requests from the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import orjson
import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from server.config import Settings
from server.web.connection.exchange import HIGH_WATER_BYTES, Call, Exchange
from server.web.connection.limits import LINGER_S, SPARE_CONNECTIONS, ConnectionLimits
from server.web.connection.patience import GRACE_S, MIN_BYTES_PER_S
from server.web.connection.protocol import MAX_PIPELINED, Protocol

GET = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\n"
LOOK_S = 0.5


class Wire(asyncio.Transport):
    """The other end of a connection, as a protocol sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.half_closed = self.closed = self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.half_closed = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    @property
    def statuses(self) -> list[int]:
        return [int(part[:3]) for part in self.written.split(b"HTTP/1.1 ")[1:]]


WAYS = ("asgi", "direct")


@pytest.fixture(params=WAYS, autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the application of a Client is asked."""
    monkeypatch.setattr(Client, "way", request.param)
    return str(request.param)


class NoRoute:
    """A direct route that takes nothing."""

    def leads(self, _: str) -> bool:
        return False

    def begin(self, _: Exchange) -> Call:
        raise AssertionError("nothing leads here")


class Client:
    """One connection to a protocol whose application answers when the test says so."""

    way = "asgi"

    def __init__(self, limits: ConnectionLimits | None = None) -> None:
        self.limits = limits or ConnectionLimits(Settings())
        self.wire = Wire()
        self.asked: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.reads = True
        loop = asyncio.get_running_loop()
        config = Config(self._app, interface="asgi3", log_config=None, lifespan="off", proxy_headers=False)
        config.load()
        direct = NoRoute() if self.way == "asgi" else self
        self.protocol = Protocol(self.limits, direct, config, ServerState(), {}, loop)
        self.protocol.connection_made(self.wire)

    def leads(self, _: str) -> bool:
        return True

    def begin(self, exchange: Exchange) -> Call:
        return _Direct(self, exchange)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["tandem.caller"] is self.protocol
        self.asked.append(scope["path"])
        while self.reads:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            if not message["more_body"]:
                break
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def say(self, data: bytes) -> None:
        self.protocol.data_received(data)
        for _ in range(3 * MAX_PIPELINED):
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / LOOK_S)):
            self.protocol.look(LOOK_S)
        await asyncio.sleep(0)


class _Direct:
    """One request to the application of a Client, without ASGI."""

    def __init__(self, client: Client, exchange: Exchange) -> None:
        self._client = client
        self._exchange = exchange
        self._gone = False
        client.asked.append(exchange.path)
        exchange.go_on()
        if not client.reads:
            exchange.run(self._answer())

    def part(self, _: bytes) -> None:
        if not self._client.reads:
            self._exchange.pause()

    def whole(self) -> None:
        if self._client.reads:
            self._exchange.run(self._answer())

    def gone(self) -> None:
        self._gone = True

    async def _answer(self) -> None:
        await self._client.may_answer.wait()
        if not self._gone:
            self._exchange.reply(200, b"content-length: 2\r\n", b"ok")


def checked(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), 20)

    asyncio.run(bounded())


def test_a_body_below_the_least_rate_is_given_up_after_the_grace() -> None:
    async def scenario() -> None:
        client = Client()
        await client.say(POST)
        for _ in range(int(GRACE_S)):
            await client.say(b"x")
            await client.pass_time(1)
        assert client.wire.statuses == []
        await client.pass_time(2)
        assert client.wire.statuses == [408]
        assert client.wire.half_closed

    checked(scenario)


def test_a_body_at_the_least_rate_has_until_the_servers_timeout() -> None:
    async def scenario() -> None:
        client = Client(ConnectionLimits(Settings(timeout_s=60)))
        await client.say(POST)
        for _ in range(59):
            await client.say(b"x" * MIN_BYTES_PER_S)
            await client.pass_time(1)
        assert client.wire.statuses == []
        await client.say(b"x" * MIN_BYTES_PER_S)
        await client.pass_time(2)
        assert client.wire.statuses == [408]

    checked(scenario)


def test_the_time_in_which_nobody_reads_is_not_the_clients() -> None:
    async def scenario() -> None:
        client = Client()
        client.reads = False
        client.may_answer.clear()
        await client.say(POST)
        await client.say(b"x" * (HIGH_WATER_BYTES + 1))
        await client.pass_time(100)
        assert client.wire.statuses == []
        client.may_answer.set()
        await client.say(b"")
        assert client.wire.statuses == [200]

    checked(scenario)


def test_a_reply_before_the_end_of_the_body_is_the_last_and_the_rest_is_read_away() -> None:
    async def scenario() -> None:
        client = Client()
        client.reads = False
        await client.say(POST)
        assert client.wire.statuses == [200]
        assert b"connection: close" in client.wire.written
        assert (client.wire.half_closed, client.wire.closed) == (True, False)
        for _ in range(10):
            assert not client.wire.closed
            await client.say(b"x" * (10_000_000 - len(GET)) + GET)
            await client.pass_time(1)
        assert client.wire.closed  # the body is whole
        client = Client()
        client.reads = False
        await client.say(POST)
        await client.pass_time(LINGER_S + 2 * LOOK_S)
        assert client.wire.closed

    checked(scenario)


def test_a_client_that_does_not_take_its_reply_is_cut_off() -> None:
    async def scenario() -> None:
        client = Client()
        await client.say(GET)
        client.wire.unsent = 1_000_000
        await client.pass_time(GRACE_S - 1)
        client.wire.unsent -= 20 * MIN_BYTES_PER_S
        await client.pass_time(GRACE_S - 1)
        assert not client.wire.aborted
        await client.pass_time(2)
        assert client.wire.aborted

    checked(scenario)


def test_requests_that_come_together_are_answered_in_order_up_to_a_number() -> None:
    async def scenario() -> None:
        client = Client()
        client.may_answer.clear()
        await client.say(b"".join(GET.replace(b"/x", b"/%d" % i) for i in range(100)))
        client.may_answer.set()
        await client.say(b"")
        count = MAX_PIPELINED + 1
        assert client.asked == [f"/{i}" for i in range(count)]
        assert client.wire.statuses == [200] * count
        assert client.wire.written.count(b"connection: close") == 1
        assert client.wire.half_closed

    checked(scenario)


def test_what_cannot_be_read_is_told_after_the_answers_that_are_due() -> None:
    async def scenario(second: bytes, statuses: list[int]) -> None:
        client = Client()
        client.may_answer.clear()
        await client.say(GET + second)
        assert client.wire.statuses == []
        client.may_answer.set()
        await client.say(b"")
        assert client.wire.statuses == statuses
        assert orjson.loads(client.wire.written.rpartition(b"\r\n\r\n")[2])["code"] == "bad_request"

    chunked = POST.replace(b"content-length: 100000000", b"transfer-encoding: chunked")
    checked(lambda: scenario(b"junk\r\n\r\n", [200, 400]))
    checked(lambda: scenario(GET + b"junk\r\n\r\n", [200, 200, 400]))
    checked(lambda: scenario(chunked + b"junk", [200, 400]))


@pytest.mark.parametrize("part", [b"3;" + b"a" * 1000, b"0\r\nx: " + b"a" * 1000], ids=["extension", "trailer"])
def test_a_chunked_body_without_an_end_or_a_byte_of_content_is_given_up(part: bytes) -> None:
    async def scenario() -> None:
        client = Client()
        await client.say(POST.replace(b"content-length: 100000000", b"transfer-encoding: chunked") + part)
        for _ in range(100):
            await client.say(b"a" * 1000)
        assert client.wire.statuses == [400]

    checked(scenario)


def test_trailers_are_no_headers() -> None:
    async def scenario() -> None:
        client = Client()
        client.may_answer.clear()
        head = POST.replace(b"content-length: 100000000", b"transfer-encoding: chunked")
        await client.say(head + b"1\r\na\r\n0\r\nauthorization: b\r\n\r\n")
        assert [name for name, _ in client.protocol.headers] == [b"host", b"transfer-encoding"]
        client.may_answer.set()
        await client.say(b"")
        assert client.wire.statuses == [200]

    checked(scenario)


def test_a_client_that_hangs_up_is_told_of_once_and_only_while_it_waits() -> None:
    async def scenario() -> None:
        told: list[str] = []
        client = Client()
        client.may_answer.clear()
        await client.say(GET)
        client.protocol.on_gone = lambda: told.append("first")
        client.may_answer.set()
        await client.say(b"")
        client.may_answer.clear()
        await client.say(GET)
        assert (client.protocol.on_gone is None) == (client.way == "asgi"), "a direct route has set its own"
        client.protocol.on_gone = lambda: told.append("second")
        client.protocol.connection_lost(None)
        client.protocol.connection_lost(None)
        assert told == ["second"]
        client.may_answer.set()
        await asyncio.sleep(0.01)

    checked(scenario)


def test_beyond_the_limit_only_health_is_answered() -> None:
    async def scenario() -> None:
        limits = ConnectionLimits(Settings(max_connections=1))
        inside = Client(limits)
        inside.protocol.vouched()
        outside, probe = (Client(limits) for _ in range(2))
        for client in (inside, outside):
            await client.say(GET)
        await probe.say(GET.replace(b"/x", b"/health/live"))
        assert (inside.wire.statuses, outside.wire.statuses, probe.wire.statuses) == ([200], [503], [200])
        assert b"retry-after: " in outside.wire.written
        assert (inside.wire.closed, outside.wire.closed, probe.wire.closed) == (False, True, True)
        inside.protocol.connection_lost(None)
        again = Client(limits)
        await again.say(GET)
        assert again.wire.statuses == [200]

    checked(scenario)


def test_the_stranger_that_has_been_idle_longest_makes_room_and_whoever_showed_a_token_stays() -> None:
    async def scenario() -> None:
        limits = ConnectionLimits(Settings(max_connections=3))
        vouched, first, second = (Client(limits) for _ in range(3))
        vouched.protocol.vouched()
        await first.say(GET)
        newcomers = []
        for gone in (second, first):
            newcomers.append(Client(limits))
            assert gone.wire.aborted
        await newcomers[-1].say(GET)
        assert newcomers[-1].wire.statuses == [200]
        assert [client.wire.aborted for client in (vouched, *newcomers)] == [False, False, False]

    checked(scenario)


@pytest.mark.parametrize("path", [b"/x%2fy", b"/x%2Fy", b"/x%5cy", b"/a%20b%5Cc"])
def test_an_encoded_slash_is_no_slash(path: bytes) -> None:
    async def scenario() -> None:
        client = Client(ConnectionLimits(Settings()))
        await client.say(GET.replace(b"/x", path))
        assert client.asked == [path.decode()]

    checked(scenario)


def test_the_oldest_silent_connection_beyond_the_limit_makes_room_for_a_probe() -> None:
    async def scenario() -> None:
        limits = ConnectionLimits(Settings(max_connections=1))
        silent = [Client(limits)]
        silent[0].protocol.vouched()
        silent += [Client(limits) for _ in range(SPARE_CONNECTIONS)]
        probe = Client(limits)
        await probe.say(GET.replace(b"/x", b"/health/live"))
        assert [client.wire.aborted for client in silent] == [False, True] + [False] * (SPARE_CONNECTIONS - 1)
        assert probe.wire.statuses == [200]

    checked(scenario)


def test_at_the_stop_what_is_due_is_answered_and_an_idle_connection_may_ask_once_more() -> None:
    async def scenario() -> None:
        limits = ConnectionLimits(Settings())
        busy, idle, silent = (Client(limits) for _ in range(3))
        busy.may_answer.clear()
        for client in (busy, idle):
            await client.say(GET)
        for client in (busy, idle, silent):
            await client.pass_time(5)
        limits.draining = True
        for client in (busy, idle, silent):
            client.protocol.shutdown()
        for client in (busy, idle, silent):
            await client.pass_time(LINGER_S / 2)
            assert not client.wire.closed
        busy.may_answer.set()
        await busy.say(b"")
        await idle.say(GET)
        for client, statuses in ((busy, [200]), (idle, [200, 200])):
            assert client.wire.statuses == statuses
            assert client.wire.written.count(b"connection: close") == 1
            assert client.wire.closed
        await silent.pass_time(LINGER_S)
        assert silent.wire.closed

    checked(scenario)
