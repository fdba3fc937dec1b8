"""Whatever bytes stand where a credential may stand: nobody is let in, nothing fails, and every 401 reads the same."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import pytest
from fastapi import FastAPI
from hypothesis import strategies as st
from starlette.types import Message

from auth import routes
from auth.credentials.credential import HEADERS
from auth.key_text import new_key
from auth.setup import open_auth, prepare
from server.web.request_id import RequestIds
from server.web.routes import exception_handlers
from tests.attack.mutation import TRIES, fuzzed
from tests.server.web.routes.test_exception_handlers import Counts

Headers = Sequence[tuple[bytes, bytes]]
OURS = (b"sec-fetch-site", b"same-origin")
KEY, TOKEN = new_key().text.encode(), b"eyJhbGciOiJIUzI1NiJ9.e30.c2ln"
SEEDS = (
    b"",
    b" ",
    KEY,
    KEY[:-1],
    TOKEN,
    TOKEN + b".",
    base64.b64encode(b"key:" + KEY),
    base64.b64encode(b"ann:x"),
    b"\xff",
)
SCHEMES = (b"Bearer ", b"bearer ", b"Key ", b"Basic ", b"Digest ", b"Bearer", b"Bearer\t", b"")


class Served:
    """The routes of auth as they are served, without a network."""

    def __init__(self, folder: Path) -> None:
        prepare(folder, 0.0)
        self.auth = open_auth(folder)
        self.counts = Counts()
        self._app = FastAPI()
        self._app.state.auth = self.auth
        self._app.include_router(routes.router)
        exception_handlers.install(self._app, RequestIds(), self.counts)  # type: ignore[arg-type]

    def get(self, headers: Headers) -> tuple[int, bytes]:
        """Who is asking, by these headers; status and body."""
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/auth/me", "raw_path": b"/auth/me", "query_string": b""}
        scope |= {"headers": list(headers), "client": ("127.0.0.1", 1), "root_path": ""}
        asyncio.run(self._app(scope, receive, send))
        return int(sent[0]["status"]), sent[1]["body"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.auth.close()


def secrets() -> st.SearchStrategy[bytes]:
    """Credentials as they are, spoilt in one place, and any bytes."""
    spoilt = st.tuples(st.sampled_from(SEEDS), st.binary(max_size=3), st.integers(0, 60)).map(
        lambda parts: parts[0][: parts[2]] + parts[1] + parts[0][parts[2] + 1 :]
    )
    return st.one_of(st.sampled_from(SEEDS), spoilt, st.binary(max_size=200), st.just(b"A" * 17_000))


def headers() -> st.SearchStrategy[list[tuple[bytes, bytes]]]:
    """One or two headers of the kinds that credentials stand in, or a cookie."""
    plain = st.tuples(st.sampled_from(HEADERS), secrets())
    schemed = st.tuples(st.sampled_from(SCHEMES), secrets()).map(lambda parts: (b"authorization", parts[0] + parts[1]))
    cookie = secrets().map(lambda value: (b"cookie", b"__Host-tandem=" + value))
    return st.lists(st.one_of(plain, schemed, cookie), min_size=1, max_size=2).map(lambda found: [OURS, *found])


def test_nobody_is_let_in_by_chance_and_every_401_reads_the_same(served: Served) -> None:
    told: set[bytes] = set()

    def check(headers: Headers) -> None:
        status, body = served.get(headers)
        document = orjson.loads(body)
        assert status in (400, 401)
        assert served.counts.failed_routes == []
        if status == 401:
            told.add(orjson.dumps(document | {"request_id": ""}))

    for secret in SEEDS:
        for scheme in SCHEMES:
            check([(b"authorization", scheme + secret)])
    fuzzed(tries=TRIES // 3, headers=headers())(check)()
    assert len(told) == 1
