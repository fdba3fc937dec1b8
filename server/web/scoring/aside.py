"""Asks the scoring route without a connection: for work whose caller does not wait, such as a batch of records.

What is asked so goes the way of every request: the credential, its limits, relays, the metrics and the access log. It
waits in a lane of its own, behind callers who wait for an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

from server.dispatch.messages import Lane
from server.web.scoring.caller import Caller
from server.web.scoring.route import Call, ScoringRoute


class Answer(NamedTuple):
    """What a request was answered."""

    status: int
    headers: Mapping[bytes, bytes]
    """By their names in lower case."""
    body: bytes


class _AsideCall(Call):
    """A request of the lane that live requests go before."""

    __slots__ = ()

    lane = Lane.BATCH


class Aside:
    """Has the scoring route answer requests of this process's own making, with the headers of who wants them done."""

    def __init__(self, route: ScoringRoute) -> None:
        self._route = route

    async def ask(self, path: str, headers: Mapping[bytes, bytes], client: str, body: bytes) -> Answer:
        """The answer to a body that is posted to `path`. `client` is the address that the log names."""
        asker = _Asker(path, headers, client)
        call = _AsideCall(self._route, asker)
        call.begin()
        call.part(body)
        call.whole()
        try:
            return await asker.answer
        except asyncio.CancelledError:
            call.gone()
            raise


class _Asker(Caller):
    """A caller without a connection. It takes an answer whole."""

    method = b"POST"
    query = b""

    def __init__(self, path: str, headers: Mapping[bytes, bytes], client: str) -> None:
        self.path = path
        self.headers = dict(headers)
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun: tuple[int, Sequence[tuple[bytes, bytes]]] = (500, ())
        self._parts: list[bytes] = []

    @property
    def client(self) -> str:
        """The address that the work was asked for from."""
        return self._client

    def vouched(self) -> None:
        """There is no connection that this is good for."""

    def go_on(self) -> None:
        """The body is here."""

    def pause(self) -> None:
        """The body is here."""

    def resume(self) -> None:
        """The body is here."""

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have the loop do this for the request."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        """The answer, in one piece."""
        pairs = (line.partition(b": ") for line in head.split(b"\r\n") if line)
        self._done(Answer(status, {name.lower(): value for name, _, value in pairs}, body))

    def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """The answer of another server begins."""
        self._begun = status, headers

    async def send(self, data: bytes) -> None:
        """A part of it."""
        self._parts.append(data)

    def end(self) -> None:
        """It is whole."""
        status, headers = self._begun
        self._done(Answer(status, dict(headers), b"".join(self._parts)))

    def cut(self) -> None:
        """It cannot be finished."""
        self._done(Answer(500, {}, b""))

    def _done(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)
