"""Requests as bytes, and the forms that nobody has to be known to send: answered or refused, and read in one way.

The second opinion on a head and its body is h11's, which shares no code with the parser that Tandem uses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import h11
import pytest
from fastapi import FastAPI
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from auth import routes
from auth.setup import Auth, open_auth, prepare
from server.config import Settings
from server.web.connection.exchange import Call, Exchange
from server.web.connection.limits import ConnectionLimits
from server.web.connection.protocol import Protocol
from server.web.request_id import RequestIds
from server.web.routes import exception_handlers
from tests.attack.mutation import TRIES, files, fuzzed, inputs, kept
from tests.server.web.connection.test_protocol import NoRoute, Wire
from tests.server.web.routes.test_exception_handlers import Counts

WORDS = (
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b":", b" ", b"\t", b"\0", b"\xff", b"HTTP/1.0", b"%2f", b";"),
    *(b"content-length: 5\r\n", b"Content-Length", b"transfer-encoding: chunked\r\n", b"chunked", b"identity"),
    *(b"0\r\n\r\n", b"5\r\nhello\r\n", b"host: b\r\n", b"connection: close\r\n", b"expect: 100-continue\r\n"),
    *(b"connection: upgrade\r\nupgrade: h2c\r\n", b"GET /z HTTP/1.1\r\nhost: a\r\n\r\n"),
)
FORM_WORDS = (b"--b", b"--b--", b"\r\n\r\n", b'name="grant_type"', b"filename=", b"charset=utf-16", b"%", b"&")
STATUSES = {100, 200, 400, 413, 431}
FORM_STATUSES = {200, 400, 413, 422, 429}

Read = tuple[bytes, bytes, bytes]
"""A request as it was read: method, path and query, body."""


class Direct:
    """A route that takes every request from the connection itself."""

    def __init__(self, seen: list[Read]) -> None:
        self._seen = seen

    def leads(self, _: str) -> bool:
        return True

    def begin(self, exchange: Exchange) -> Call:
        return _Taken(exchange, self._seen)


class _Taken:
    def __init__(self, exchange: Exchange, seen: list[Read]) -> None:
        self._exchange = exchange
        self._seen = seen
        self._body = b""
        exchange.go_on()

    def part(self, data: bytes) -> None:
        self._body += data

    def whole(self) -> None:
        exchange = self._exchange
        self._seen.append((exchange.method, _written(exchange.path, exchange.query), self._body))
        exchange.reply(200, b"content-length: 0\r\n", b"")

    def gone(self) -> None:
        pass


def _written(path: str, query: bytes) -> bytes:
    return path.encode() + (b"?" + query if query else b"")


async def ours(parts: list[bytes], direct: bool) -> tuple[list[Read], list[Read], list[int]]:
    """What Tandem reads in these bytes, as they come in: the requests with their paths as they were written (through
    ASGI only) and as they were understood, and the statuses of what it answers.
    """
    found: list[Read] = []
    seen: list[Read] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        found.append((scope["method"].encode(), scope["raw_path"] + query, body))
        seen.append((scope["method"].encode(), _written(scope["path"], scope["query_string"]), body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = Config(app, interface="asgi3", log_config=None, lifespan="off", proxy_headers=False)
    config.load()
    wire, state = Wire(), ServerState()
    route = Direct(seen) if direct else NoRoute()
    protocol = Protocol(ConnectionLimits(Settings()), route, config, state, {}, asyncio.get_running_loop())
    protocol.connection_made(wire)
    for part in parts:
        protocol.data_received(part)
        for _ in range(8):
            await asyncio.sleep(0)
    protocol.connection_lost(None)
    while state.tasks:
        await asyncio.sleep(0)
    return found, seen, wire.statuses


def read(parts: list[bytes], direct: bool = False) -> tuple[list[Read], list[Read], list[int]]:
    async def bounded() -> tuple[list[Read], list[Read], list[int]]:
        async with asyncio.timeout(20):
            return await ours(parts, direct)

    return asyncio.run(bounded())


def theirs(data: bytes) -> Iterator[Read]:
    """What h11 reads in these bytes, up to what it refuses."""
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(data)
    try:
        while isinstance(head := peer.next_event(), h11.Request):
            body = b""
            while isinstance(event := peer.next_event(), h11.Data):
                body += event.data
            if not isinstance(event, h11.EndOfMessage):
                return
            yield head.method, _path_and_query(head.target.decode("latin-1")), body
            peer.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            peer.send(h11.EndOfMessage())
            peer.start_next_cycle()
    except h11.ProtocolError:
        return


def _path_and_query(target: str) -> bytes:
    if not target.startswith("/"):
        url = urlsplit(target)
        target = f"{url.path}?{url.query}"
    path, _, query = target.partition("#")[0].partition("?")
    return (f"{path}?{query}" if query else path).encode("latin-1")


def check(data: bytes, cuts: list[float]) -> int:
    """Read it whole and in parts; how many requests were in it."""
    found, seen, statuses = read([data])
    places = sorted({int(cut * len(data)) for cut in cuts} | {0, len(data)})
    parts = [data[start:stop] for start, stop in pairwise(places)]
    assert set(statuses) <= STATUSES
    assert read(parts) == (found, seen, statuses), "the same bytes are the same requests, however they come in"
    final = [status for status in statuses if status != 100]  # no 100 is owed to a client that has sent its body
    for cut in ([data], parts):
        _, direct_seen, direct_statuses = read(cut, direct=True)
        assert direct_seen == seen, "they are the same requests to whoever answers"
        assert [status for status in direct_statuses if status != 100] == final
    for here, there in zip(found, theirs(data), strict=False):
        assert here == there
    return len(found)


@pytest.mark.parametrize(("kind", "data"), files("http"))
def test_a_kept_request_has_one_reading(kind: str, data: bytes) -> None:
    check(data, [0.1, 0.4, 0.7])
    check(data, [at / len(data) for at in range(len(data))])


def test_bytes_have_one_reading_or_are_refused() -> None:
    assert any(check(data, []) for data in kept("http")), "what is refused at its first byte tries nothing"

    @fuzzed(data=inputs("http", *WORDS), cuts=st.lists(st.floats(0, 1), max_size=4))
    def tried(data: bytes, cuts: list[float]) -> None:
        check(data, cuts)

    tried()


class Forms:
    """The routes that sign in and out, as they are served, without a network."""

    def __init__(self, auth: Auth) -> None:
        self.counts = Counts()
        app = FastAPI()
        app.state.auth = auth
        app.include_router(routes.router)
        exception_handlers.install(app, RequestIds(), self.counts)  # type: ignore[arg-type]
        self._app = app

    def post(self, path: str, media_type: str, body: bytes) -> int:
        """The status of the answer."""
        sent: list[Message] = []
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Message:
            return next(messages, {"type": "http.disconnect"})

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
        scope |= {"headers": [(b"content-type", media_type.encode())], "client": ("127.0.0.1", 1), "root_path": ""}
        asyncio.run(self._app(scope, receive, send))
        return int(sent[0]["status"])


@pytest.fixture
def forms(tmp_path: Path) -> Iterator[Forms]:
    prepare(tmp_path, 0.0)
    auth = open_auth(tmp_path)
    yield Forms(auth)
    auth.close()


MEDIA_TYPES = {"multipart": "multipart/form-data; boundary=b", "urlencoded": "application/x-www-form-urlencoded"}


# Starlette leaves a file whose part has no end to the collector of garbage: as large as such a body may be, in memory.
@pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.SpooledTemporaryFile:ResourceWarning")
@pytest.mark.parametrize("path", ["/auth/token", "/auth/revoke"])
@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_a_form_of_any_bytes_is_answered(forms: Forms, kind: str, path: str) -> None:
    def check(body: bytes) -> None:
        assert forms.post(path, MEDIA_TYPES[kind], body) in FORM_STATUSES
        assert forms.counts.failed_routes == []

    for file in files(kind):
        check(file.values[1])
    fuzzed(tries=TRIES // 3, body=inputs(kind, *FORM_WORDS))(check)()
