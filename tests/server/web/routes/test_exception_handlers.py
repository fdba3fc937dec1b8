"""Failures that nobody foresaw: each is answered `internal_error` with the id that its log line has, and counted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from auth.limits.limiter import Limiter
from server.collect_metrics import CollectMetrics
from server.config import Settings
from server.dispatch.dispatcher import ReplyTo, Scored
from server.dispatch.messages import Request
from server.web.connection.limits import ConnectionLimits
from server.web.connection.protocol import Protocol
from server.web.dialects.dialect import Dialects
from server.web.dialects.native import NATIVE
from server.web.request_id import RequestIds
from server.web.routes import exception_handlers
from server.web.scoring.access_log import AccessLog
from server.web.scoring.caller import Caller
from server.web.scoring.collector import Collector
from server.web.scoring.incoming import Incoming
from server.web.scoring.route import ScoringRoute
from server.web.scoring.target import Target
from server.wire.frames import ReplyCode, ReplyPayload, Result
from server.wire.snapshot import Entry
from tests.server.dispatch.test_dispatcher import Stage
from tests.server.web.connection.test_protocol import Wire

ENTRY = Entry("a", "1", "r", "r", "ready", "a/1", "a.rds", False, 1, 0.0)
BODY = b'{"rows":[]}'
HEAD = (
    "POST %s HTTP/1.1\r\nhost: h\r\nx-request-id: mine-1\r\ncontent-type: application/json\r\n"
    f"content-length: {len(BODY)}\r\n\r\n"
)


class Counts:
    """What was counted."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, str]] = []
        self.failed_routes: list[str] = []
        self.edge: list[str] = []
        self.unwritable = False

    def answered(
        self, model: str, version: str, runtime: str, dialect: str, code: str, seconds: float, rows: int
    ) -> None:
        if self.unwritable:
            raise OSError("no space left on device")
        self.answers.append((model, code))

    def queued(self, *_: object) -> None:
        pass

    def route_failed(self, route: str) -> None:
        self.failed_routes.append(route)


Outcome = Callable[[ReplyTo], None]


class Dispatcher:
    """One that answers with whatever the test wants it to."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def submit(self, request: Request) -> None:
        self._outcome(request.reply_to)


class Relay:
    async def forward(self, _: object, incoming: Incoming, caller: Caller) -> str:
        caller.start(200, [(b"content-length", b"9")])
        raise RuntimeError("the relay failed with half of the answer out")


class Authenticator:
    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def refuse_keys(self, *_: object) -> None:
        """There are none."""

    def known(self, *_: object) -> Any:
        if self._error is not None:
            raise self._error
        return self

    name, via, key = "ann", "token", None

    def may(self, _: str, target: str | None = None) -> bool:
        return True


class Serving:
    def __init__(self, target: Target) -> None:
        self.targets = {"/v1/models/a/score": target}
        self.dialects = Dialects(NATIVE)
        self.collector = Collector(None, CollectMetrics())

    def unheard(self) -> list[str]:
        return []


class Access(AccessLog):
    """Keeps its lines."""

    def __init__(self) -> None:
        super().__init__()
        self._on = True

    def said(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self._lines]

    def flush(self) -> None:
        pass


class Played:
    """One request to the real scoring route over the real protocol, and all that came of it."""

    def __init__(
        self,
        target: Target,
        authenticator: Authenticator | None = None,
        app: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None,
        path: str = "/v1/models/a/score",
        unwritable_counts: bool = False,
    ) -> None:
        self.counts = Counts()
        self.counts.unwritable = unwritable_counts
        self.access = Access()
        self.wire = Wire()
        asyncio.run(self._play(target, authenticator or Authenticator(), app, path))

    async def _play(self, target: Target, authenticator: Authenticator, app: Any, path: str) -> None:
        if isinstance(app, FastAPI):
            counts: Any = self.counts
            exception_handlers.install(app, RequestIds(), counts)
        edge = ConnectionLimits(Settings(), self.counts.edge.append)
        parts: list[Any] = [Settings(), Serving(target), Relay(), authenticator, self.counts, self.access]
        route = ScoringRoute(*parts, RequestIds(), Limiter())
        config = Config(app or no_app, interface="asgi3", log_config=None, lifespan="off", proxy_headers=False)
        config.load()
        state = ServerState()
        protocol = Protocol(edge, route, config, state, {}, asyncio.get_running_loop())
        protocol.connection_made(self.wire)
        protocol.data_received((HEAD % path).encode() + BODY)
        async with asyncio.timeout(10):
            while len(asyncio.all_tasks()) > 1 or (protocol.answering and not self.wire.aborted):
                await asyncio.sleep(0)
        await asyncio.sleep(0)

    @property
    def document(self) -> dict[str, Any]:
        head, _, body = self.wire.written.partition(b"\r\n\r\n")
        document: dict[str, Any] = orjson.loads(body)
        assert b"x-request-id: %s" % document["request_id"].encode() in head
        assert int(head[9:12]) == document["status"]
        return document

    def assert_counted(self, caplog: pytest.LogCaptureFixture) -> None:
        assert self.counts.answers == [("a", "internal_error")]
        assert self.counts.edge == []
        assert [(line["code"], line["request_id"]) for line in self.access.said()] == [("internal_error", "mine-1")]
        assert "mine-1" in [getattr(r, "request_id", None) for r in caplog.records if r.levelno >= logging.ERROR]


def scoring(outcome: Outcome) -> Target:
    dispatcher: Any = Dispatcher(outcome)
    return Target(ENTRY, 30.0, False, dispatcher, NATIVE)


def raises(_: ReplyTo) -> None:
    raise KeyError("a worker that nobody knows")


def fails(reply_to: ReplyTo) -> None:
    reply_to.failed(OSError("the batch could not be sent"))


def answers(code: int, body: bytes, notes: bytes = b"") -> Outcome:
    def answer(reply_to: ReplyTo) -> None:
        result = Result(code, 1, body, notes)
        reply_to.scored(Scored(result, ReplyPayload(0.1, 0.1, 0.1, [result]), 0.1, 1))

    return answer


async def no_app(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("a scoring request does not come by ASGI")


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(raises, id="the dispatcher raises"),
        pytest.param(fails, id="the batch cannot be sent"),
        pytest.param(answers(ReplyCode.INVALID, b"{"), id="a refusal that is not JSON"),
        pytest.param(answers(ReplyCode.INVALID, b"[]"), id="a refusal that is no document"),
        pytest.param(answers(ReplyCode.INVALID, b"{}"), id="a refusal without a reason"),
        pytest.param(answers(99, b'{"detail":"x"}'), id="a refusal of no kind"),
        pytest.param(answers(ReplyCode.OK, b"1", b"{"), id="warnings that are not JSON"),
    ],
)
def test_what_the_scoring_route_does_not_know_is_answered_counted_and_logged_under_one_id(
    outcome: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    played = Played(scoring(outcome))
    assert (played.document["code"], played.document["request_id"]) == ("internal_error", "mine-1")
    assert not played.wire.aborted
    played.assert_counted(caplog)


def test_a_failure_before_the_model_is_known_is_counted_too(caplog: pytest.LogCaptureFixture) -> None:
    failing = Authenticator(OSError("the accounts are on a disk that has gone"))
    played = Played(scoring(raises), failing)
    assert played.document["code"] == "internal_error"
    played.assert_counted(caplog)
    unknown = Played(scoring(raises), failing, path="/v1/models/unknown/score")
    assert unknown.document["code"] == "internal_error"
    assert (unknown.counts.answers, unknown.counts.failed_routes) == ([], ["/v1/models/{model}/score"])


def test_an_answer_that_cannot_be_written_ends_the_connection_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    unwritable = answers(ReplyCode.OK, None)  # type: ignore[arg-type]  # it has no length
    played = Played(scoring(unwritable))
    assert played.document["code"] == "internal_error"
    played.assert_counted(caplog)


def test_a_relay_that_fails_with_half_of_the_answer_out_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    played = Played(Target(ENTRY, 30.0, False, None, NATIVE, "http://back/score"))
    assert played.wire.aborted
    played.assert_counted(caplog)


def test_a_failure_around_all_routes_is_logged_under_the_id_that_its_caller_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    played = Played(scoring(raises), app=app, path="/elsewhere")
    assert (played.document["code"], played.document["request_id"]) == ("internal_error", "mine-1")
    [line] = [r for r in caplog.records if getattr(r, "request_id", None) == "mine-1"]
    assert line.exc_info is not None
    assert line.exc_info[0] is ZeroDivisionError
    assert played.counts.edge == ["internal_error"]


def test_a_batch_that_cannot_be_sent_is_answered_at_once_and_its_worker_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the real dispatcher, to a worker whose connection stands."""

    def unsendable(*_: object) -> list[bytes]:
        raise OverflowError("a length that no frame can hold")

    kills: list[tuple[str, str]] = []

    class Staged(Dispatcher):
        """A real one, made in the loop of the request."""

        def submit(self, request: Request) -> None:
            staged.append(asyncio.ensure_future(self._sent(request)))

        async def _sent(self, request: Request) -> None:
            stage = Stage(tmp_path)
            await stage.generation(1, "w1", key=ENTRY.model_key)
            monkeypatch.setattr("server.wire.frames.score_parts", unsendable)
            stage.dispatcher.submit(request)
            while not request.answered:
                await asyncio.sleep(0)  # polls: `Played` bounds it
            await asyncio.sleep(0)
            kills.extend(stage.kills)
            stage.stop()

    staged: list[asyncio.Future[None]] = []
    dispatcher: Any = Staged(raises)
    played = Played(Target(ENTRY, 30.0, False, dispatcher, NATIVE))
    assert played.document["code"] == "internal_error"
    played.assert_counted(caplog)
    assert kills == [("w1", "wire")], "it may have been sent a part"
    [line] = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert line.exc_info is not None
    assert line.exc_info[0] is OverflowError


def failing_app() -> FastAPI:
    app = FastAPI()

    @app.get("/things/{name}")
    @app.post("/things/{name}")
    async def fails_at_once(name: str) -> str:
        raise LookupError(f"nobody foresaw {name}")

    @app.post("/streams")
    async def fails_halfway() -> StreamingResponse:
        async def half() -> AsyncIterator[bytes]:
            yield b"half"
            raise LookupError("the other half")

        return StreamingResponse(half())

    return app


def test_a_route_that_fails_is_answered_logged_under_its_id_and_counted_by_its_template(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    played = Played(scoring(raises), app=failing_app(), path="/things/secret-name")
    assert (played.document["code"], played.document["request_id"]) == ("internal_error", "mine-1")
    assert "foresaw" not in played.wire.written.decode()
    assert (played.counts.failed_routes, played.counts.edge) == (["/things/{name}"], [])
    failed, answered = [r for r in caplog.records if getattr(r, "request_id", None) == "mine-1"]
    assert failed.exc_info is not None
    assert failed.exc_info[0] is LookupError
    assert (answered.message, answered.__dict__["status"]) == ("answered", 500)


def test_a_route_that_fails_with_half_of_the_answer_out_ends_the_connection_and_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    played = Played(scoring(raises), app=failing_app(), path="/streams")
    assert played.wire.aborted
    assert (played.counts.failed_routes, played.counts.edge) == (["/streams"], [])
    assert "mine-1" in [getattr(r, "request_id", None) for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [pytest.param(answers(ReplyCode.OK, b"1"), 200, id="ok"), pytest.param(raises, 500, id="bad")],
)
def test_counts_that_cannot_be_written_take_no_answer_from_anybody(
    outcome: Outcome, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    played = Played(scoring(outcome), unwritable_counts=True)
    assert played.wire.written.startswith(b"HTTP/1.1 %d" % status)
    assert not played.wire.aborted
    assert played.counts.edge == []
    lines = [r for r in caplog.records if r.message == "a request could not be accounted for"]
    assert [getattr(line, "request_id", None) for line in lines] == ["mine-1"]
    assert lines[0].exc_info is not None
    assert lines[0].exc_info[0] is OSError
