"""Servers that are no good, behind the relay: whatever one answers, its caller gets an answer of Tandem's or a cut."""

from __future__ import annotations

import asyncio
import re
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from itertools import repeat
from typing import Any

import orjson
import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from auth.limits.limiter import Limiter
from server.config import Settings
from server.web.connection.limits import ConnectionLimits
from server.web.connection.protocol import Protocol
from server.web.dialects.native import NATIVE
from server.web.request_id import RequestIds
from server.web.scoring.relay import Relay
from server.web.scoring.route import ScoringRoute
from server.web.scoring.target import Target
from server.web.scoring.upstream import HELD_BYTES
from tests.server.web.connection.test_protocol import Wire
from tests.server.web.routes.test_exception_handlers import (
    BODY,
    ENTRY,
    HEAD,
    Access,
    Authenticator,
    Counts,
    Serving,
    no_app,
)

TIMEOUT_S = 1.0
MIB = 1 << 20
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
REFUSAL = b"HTTP/1.1 422 X\r\ncontent-type: application/problem+json\r\n"
CHUNK = b"100000\r\n" + bytes(MIB) + b"\r\n"


def whole(head: bytes, body: bytes) -> Iterator[bytes]:
    yield head + b"content-length: %d\r\n\r\n" % len(body) + body


def endless(head: bytes) -> Iterator[bytes]:
    yield head + b"transfer-encoding: chunked\r\n\r\n"
    yield from repeat(CHUNK)


UNAVAILABLE = (503, "remote_unavailable")
LATE = (504, "deadline_exceeded")
ENDS: dict[str, tuple[Callable[[], Iterator[bytes]], tuple[int, str]]] = {
    "no HTTP": (lambda: iter([b"SSH-2.0-OpenSSH\r\n\r\n"]), UNAVAILABLE),
    "nothing": (lambda: iter([]), UNAVAILABLE),
    "another protocol": (lambda: iter([b"HTTP/1.1 101 X\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"]), UNAVAILABLE),
    "a way elsewhere": (lambda: whole(b"HTTP/1.1 307 X\r\nlocation: http://a/\r\n", b""), UNAVAILABLE),
    "a page": (lambda: whole(b"HTTP/1.1 500 X\r\ncontent-type: text/html\r\n", b"<html>"), UNAVAILABLE),
    "who are you": (lambda: whole(REFUSAL.replace(b"422", b"401"), b'{"code":"unauthenticated"}'), UNAVAILABLE),
    "a refusal that is no JSON": (lambda: whole(REFUSAL, b"{"), UNAVAILABLE),
    "a refusal that is a list": (lambda: whole(REFUSAL, b"[]"), UNAVAILABLE),
    "a refusal without a code": (lambda: whole(REFUSAL, b"{}"), UNAVAILABLE),
    "a code that is a list": (lambda: whole(REFUSAL, b'{"code":[]}'), UNAVAILABLE),
    "a code that is a number": (lambda: whole(REFUSAL, b'{"code":NaN}'), UNAVAILABLE),
    "a deep refusal": (lambda: whole(REFUSAL, b'{"code":' + b"[" * 99_999), UNAVAILABLE),
    "a status that is none": (lambda: whole(REFUSAL.replace(b"422", b"999"), b'{"code":"bad_body"}'), UNAVAILABLE),
    "a refusal with a good status": (lambda: whole(REFUSAL.replace(b"422", b"204"), b'{"code":"x"}'), UNAVAILABLE),
    "half a head": (lambda: iter([OK]), UNAVAILABLE),
    "a head without an end": (lambda: iter([OK, *[b"x: " + b"a" * 1000 + b"\r\n"] * 1000]), UNAVAILABLE),
    "less than it says": (lambda: iter([OK + b"content-length: 9\r\n\r\nabc"]), UNAVAILABLE),
    "two lengths": (lambda: iter([OK + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd"]), UNAVAILABLE),
    "a length and chunks": (
        lambda: iter([OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"]),
        UNAVAILABLE,
    ),
    "a negative length": (lambda: iter([OK + b"content-length: -3\r\n\r\nabc"]), UNAVAILABLE),
    "a refusal without an end": (lambda: endless(REFUSAL), UNAVAILABLE),
    "a refusal that is too long": (lambda: whole(REFUSAL, bytes(HELD_BYTES + 1)), UNAVAILABLE),
    "go on, for ever": (lambda: repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 100), LATE),
}


@asynccontextmanager
async def lying(
    answer: Callable[[], Iterator[bytes]], stays: bool = False, got: list[bytes] | None = None
) -> AsyncIterator[str]:
    """A server that reads a request's head and answers it so, then hangs up, unless it stays; where it is."""

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if got is not None:
                got.append(head)
            for part in answer():
                writer.write(part)
                await writer.drain()
            if stays:
                await reader.read(-1)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answered, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/models/a/score"
    finally:
        server.close()


REQUEST = (HEAD % "/v1/models/a/score").encode() + BODY


class Asked:
    """A request that was relayed to a liar, and what came of it."""

    def __init__(
        self,
        answer: Callable[[], Iterator[bytes]],
        stays: bool = False,
        wire: Wire | None = None,
        request: bytes = REQUEST,
        got: list[bytes] | None = None,
    ) -> None:
        self.counts, self.access, self.wire = Counts(), Access(), wire or Wire()
        asyncio.run(self._ask(lying(answer, stays, got), request))

    async def _ask(self, liar: AbstractAsyncContextManager[str], request: bytes) -> None:
        relay = Relay(lambda principal, headers: b"Tandem signed")
        async with liar as url, asyncio.timeout(30):
            target = Target(replace(ENTRY, pool="", remote="liar"), TIMEOUT_S, False, None, NATIVE, url)
            parts: list[Any] = [Settings(), Serving(target), relay, Authenticator(), self.counts, self.access]
            route = ScoringRoute(*parts, RequestIds(), Limiter())
            config = Config(no_app, interface="asgi3", log_config=None, lifespan="off", proxy_headers=False)
            config.load()
            state = ServerState()
            protocol = Protocol(ConnectionLimits(Settings()), route, config, state, {}, asyncio.get_running_loop())
            if isinstance(self.wire, Stuck):
                self.wire.protocol = protocol
            protocol.connection_made(self.wire)
            protocol.data_received(request)
            while state.tasks:
                await asyncio.sleep(0.005)
            relay.close()

    @property
    def told(self) -> tuple[int, str]:
        head, _, body = self.wire.written.partition(b"\r\n\r\n")
        return int(head[9:12]), orjson.loads(body)["code"]


@pytest.mark.parametrize("lie", ENDS)
def test_an_answer_that_is_none_is_told_in_our_words(lie: str, caplog: pytest.LogCaptureFixture) -> None:
    answer, expected = ENDS[lie]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    asked = Asked(answer)
    assert asked.told == expected
    assert asked.counts.answers == [("a", expected[1])]
    assert [record.exc_text for record in caplog.records if record.exc_info] == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize("body", [b"", b"{", b'{"predictions":[1'], ids=["nothing", "a brace", "half"])
def test_a_body_that_does_not_come_is_waited_for_no_longer_than_the_caller_waits(body: bytes) -> None:
    asked = Asked(lambda: iter([OK + b"content-length: 99\r\n\r\n" + body]), stays=True)
    assert asked.told == LATE


class Stuck(Wire):
    """A client that takes nothing from the first byte on, as its protocol is told."""

    protocol: Protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        self.protocol.pause_writing()

    def abort(self) -> None:
        super().abort()
        asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


def test_an_answer_without_an_end_is_read_no_faster_than_it_is_taken_and_cut_at_the_deadline() -> None:
    asked = Asked(lambda: endless(OK), wire=Stuck())
    assert asked.wire.aborted
    assert asked.counts.answers == [("a", "deadline_exceeded")]
    assert len(asked.wire.written) <= 2 * MIB


def test_what_a_remote_tells_of_its_limits_is_passed_on() -> None:
    told = b'ratelimit-policy: "l";q=5;w=1\r\nratelimit: "l";r=4;t=1\r\n'
    asked = Asked(lambda: whole(OK + told, b"{}"))
    assert told in asked.wire.written


def test_what_a_remote_says_beside_its_answer_is_not_passed_on() -> None:
    more = b"set-cookie: a=b\r\nx-evil: 1\r\naccess-control-allow-origin: *\r\nlocation: /\r\nx-request-id: another\r\n"
    asked = Asked(lambda: whole(OK + more + b"x-tandem-warnings: []\r\nconnection: close\r\n", b"{}"))
    head = asked.wire.written.partition(b"\r\n\r\n")[0].lower()
    names = re.findall(rb"^([a-z-]+):", head, re.MULTILINE)
    assert sorted(names) == sorted(set(names))
    assert set(names) <= {b"content-type", b"content-length", b"x-tandem-warnings", b"x-request-id", b"date", b"server"}
    assert b"x-request-id: mine-1" in head


def test_a_number_that_is_none_is_the_models_word_and_goes_through_as_it_is() -> None:
    asked = Asked(lambda: whole(OK, b'{"predictions":[NaN]}'))
    assert asked.wire.written.endswith(b'{"predictions":[NaN]}')
    assert asked.counts.answers == [("a", "ok")]


def test_a_remote_is_sent_one_request_and_nothing_of_the_callers_but_what_it_needs() -> None:
    """However the caller framed it: what is between the two servers is framed anew."""
    got: list[bytes] = []
    more = b"cookie: a=b\r\napi-key: secret\r\nx-api-key: secret\r\nte: trailers\r\n"
    more += b"x-forwarded-for: 1.2.3.4\r\nforwarded: for=1.2.3.4\r\nx-evil: 1\r\n"
    more += b"connection: upgrade, x-evil\r\nupgrade: h2c\r\nx-request-timeout-ms: 900\r\n"
    body = b"b\r\n" + b'{"rows":[]}' + b"\r\n0\r\nauthorization: Bearer trailer\r\n\r\n"
    head = (HEAD % "/v1/models/a/score").encode().replace(b"content-length: 11\r\n", b"transfer-encoding: chunked\r\n")
    asked = Asked(lambda: whole(OK, b"{}"), request=head.replace(b"\r\n\r\n", b"\r\n" + more + b"\r\n") + body, got=got)
    assert asked.counts.answers == [("a", "ok")]
    [sent] = got
    names = sorted(re.findall(rb"^([a-z-]+):", sent.lower(), re.MULTILINE))
    needed = [b"content-length", b"content-type", b"host", b"x-request-id", b"x-request-timeout-ms"]
    assert names == [b"authorization", *needed]
    assert b"authorization: Tandem signed\r\n" in sent and b"secret" not in sent
    assert b"trailer" not in sent
