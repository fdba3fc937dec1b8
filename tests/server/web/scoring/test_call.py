"""One scoring request whose caller has to be recognised first, over the real protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from auth.errors import Unauthenticated
from auth.limits.limiter import Limiter
from server.config import Settings
from server.dispatch.dispatcher import ReplyTo, Scored
from server.dispatch.messages import Request
from server.web.connection.limits import ConnectionLimits
from server.web.connection.protocol import Protocol
from server.web.dialects.native import NATIVE
from server.web.request_id import RequestIds
from server.web.scoring.route import ScoringRoute
from server.web.scoring.target import Target
from server.wire.frames import ReplyCode, ReplyPayload, Result
from tests.server.web.connection.test_protocol import Wire
from tests.server.web.routes.test_exception_handlers import BODY, ENTRY, HEAD, Access, Counts, Serving, no_app

PATH = "/v1/models/a/score"
REQUEST = (HEAD % PATH).encode() + BODY


class Slow:
    """Recognises nobody at once, and anybody when the test says so."""

    name, via, key = "ann", "token", None

    def __init__(self) -> None:
        self.may_go_on = asyncio.Event()
        self.error: Exception | None = None

    def refuse_keys(self, *_: object) -> None:
        """There are none."""

    def known(self, *_: object) -> None:
        return None

    async def recognise(self, _: object, address: str) -> Any:
        await self.may_go_on.wait()
        if self.error is not None:
            raise self.error
        return self

    def may(self, _: str, target: str | None = None) -> bool:
        return True


class Echo:
    """A dispatcher that answers with the body."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def submit(self, request: Request) -> None:
        body = request.member.body
        self.bodies.append(body if isinstance(body, bytes) else b"".join(body.pieces))
        result = Result(ReplyCode.OK, 1, self.bodies[-1])
        reply_to: ReplyTo = request.reply_to
        reply_to.scored(Scored(result, ReplyPayload(0.1, 0.1, 0.1, [result]), 0.1, 1))


class Stage:
    """A connection to the scoring route."""

    def __init__(self) -> None:
        self.counts, self.access, self.wire = Counts(), Access(), Wire()
        self.slow, self.echo, self.state = Slow(), Echo(), ServerState()
        dispatcher: Any = self.echo
        serving = Serving(Target(ENTRY, 30.0, False, dispatcher, NATIVE))
        parts: list[Any] = [Settings(), serving, None, self.slow, self.counts, self.access]
        route = ScoringRoute(*parts, RequestIds(), Limiter())
        config = Config(no_app, interface="asgi3", log_config=None, lifespan="off", proxy_headers=False)
        config.load()
        limits = ConnectionLimits(Settings())
        self.protocol = Protocol(limits, route, config, self.state, {}, asyncio.get_running_loop())
        self.protocol.connection_made(self.wire)

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def played(scene: Callable[[Stage], Awaitable[None]]) -> Stage:
    async def run() -> Stage:
        stage = Stage()
        async with asyncio.timeout(10):
            await scene(stage)
        return stage

    return asyncio.run(run())


def test_a_request_that_came_in_meanwhile_is_answered_when_its_caller_is_recognised() -> None:
    async def scene(stage: Stage) -> None:
        stage.protocol.data_received(REQUEST)
        await stage.settle()
        assert (stage.wire.written, stage.echo.bodies) == (b"", [])
        assert stage.protocol.flow.read_paused, "a stranger's bytes are left with the kernel"
        stage.slow.may_go_on.set()
        await stage.settle()

    stage = played(scene)
    assert stage.echo.bodies == [BODY]
    assert stage.wire.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert stage.counts.answers == [("a", "ok")]


def test_a_body_may_come_before_and_after_its_caller_is_recognised() -> None:
    async def scene(stage: Stage) -> None:
        stage.protocol.data_received(REQUEST[:-4])
        await stage.settle()
        stage.slow.may_go_on.set()
        await stage.settle()
        assert stage.wire.written == b""
        assert not stage.protocol.flow.read_paused
        stage.protocol.data_received(REQUEST[-4:])
        await stage.settle()

    assert played(scene).echo.bodies == [BODY]


def test_requests_that_follow_on_the_connection_wait_for_their_turn() -> None:
    async def scene(stage: Stage) -> None:
        stage.protocol.data_received(REQUEST * 3)
        await stage.settle()
        stage.slow.may_go_on.set()
        for _ in range(3):
            await stage.settle()

    stage = played(scene)
    assert stage.echo.bodies == [BODY] * 3
    assert stage.wire.statuses == [200] * 3


def test_a_caller_that_is_not_recognised_keeps_its_connection() -> None:
    async def scene(stage: Stage) -> None:
        stage.slow.error = Unauthenticated("revoked")
        stage.slow.may_go_on.set()
        stage.protocol.data_received(REQUEST * 2)
        for _ in range(2):
            await stage.settle()

    stage = played(scene)
    assert stage.wire.statuses == [401, 401]
    assert not stage.wire.closed
    assert stage.echo.bodies == []


def test_a_client_that_hangs_up_before_it_is_recognised_is_counted_once_and_scores_nothing() -> None:
    async def scene(stage: Stage) -> None:
        stage.protocol.data_received(REQUEST)
        await stage.settle()
        stage.protocol.connection_lost(None)
        stage.slow.may_go_on.set()
        await stage.settle()

    stage = played(scene)
    assert stage.echo.bodies == []
    assert [line["code"] for line in stage.access.said()] == ["client_gone"]
    assert stage.counts.answers == [("a", "client_gone")]
