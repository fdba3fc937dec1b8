"""Passes a scoring request on to the Tandem server that has the model, and its answer back.

A body of up to a mebibyte is held until it is answered: should the connection fail before there is an answer, it goes
once more, on another connection, as a request goes to another worker when one dies. What is larger is passed on as it
comes, once. Answers are passed back likewise.

Connections are kept and reused, but none for longer than a minute: behind one address there may be many servers, and
those that came later are to have their share.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
import orjson

from server.web.problems import CODES, MEDIA_TYPE, Code, Problem, problem
from server.web.scoring.caller import Caller
from server.web.scoring.incoming import ClientGone, Incoming, TooLarge

log = logging.getLogger(__name__)

HELD_BYTES = 1 << 20
CONNECT_TIMEOUT_S = 2.0
IDLE_S = 15.0
RENEW_EVERY_S = 60.0
GRACE_S = 1.0
"""What the other server is given beyond the deadline, so that the 504 is its own, which knows more."""
PASSED_ON = (b"authorization", b"content-type", b"content-encoding", b"content-length", b"accept")
PASSED_BACK = (
    *(b"content-type", b"content-length", b"cache-control", b"retry-after", b"retry-after-ms"),
    *(b"server-timing", b"x-content-type-options", b"x-tandem-warnings"),
)
NOT_OURS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Headers that the client would make up."""


class _Unreadable(Exception):
    """The other server's refusal is no problem document."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """A request to be passed on: to `url`, with its query, by a point on the monotonic clock in seconds."""

    remote: str
    url: str
    headers: dict[bytes, bytes]
    request_id: str
    deadline: float


class Relay:
    """This web process's connections to other servers."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._renewed = 0.0
        self._before: list[tuple[float, aiohttp.ClientSession]] = []
        """Those that were in use before, each with when its last request has been answered."""

    async def close(self) -> None:
        """Close all connections."""
        for session in (self._session, *(session for _, session in self._before)):
            if session is not None:
                await session.close()

    async def forward(self, relayed: Relayed, incoming: Incoming, caller: Caller) -> str:
        """Answer a request with the other server's answer, or say why there is none; the code of the answer.

        Raises ClientGone, or TooLarge where nothing was answered yet.
        """
        task = asyncio.create_task(self._forward(relayed, incoming, caller))
        incoming.ends_with(task)
        try:
            return await task
        except asyncio.CancelledError:
            if (ours := asyncio.current_task()) is not None and ours.cancelling():
                raise
            raise ClientGone from None

    async def _forward(self, relayed: Relayed, incoming: Incoming, caller: Caller) -> str:
        body = _Body(incoming)
        await body.begin()
        answer = _Answer(caller, relayed.request_id)
        try:
            async with asyncio.timeout(relayed.deadline + GRACE_S - time.monotonic()):
                for last in (False, True) if body.whole else (True,):
                    try:
                        return await self._attempt(relayed, body, answer)
                    except (aiohttp.ClientError, OSError) as e:
                        if isinstance(body.failed, Exception):
                            raise body.failed from e
                        if last or answer.begun:
                            log.warning("a remote did not answer", extra=_about(relayed) | {"reason": type(e).__name__})
                            break
            said: Code = "remote_unavailable"
        except TimeoutError:
            said = "deadline_exceeded"
        if answer.begun:  # half of it is out: all that is left is to end the connection
            caller.cut()
        else:
            answer.say(problem(said))
        return said

    async def _attempt(self, relayed: Relayed, body: _Body, answer: _Answer) -> str:
        headers = {
            name.decode(): relayed.headers[name].decode("latin-1") for name in PASSED_ON if name in relayed.headers
        }
        left_ms = max(1, int((relayed.deadline - time.monotonic()) * 1000))
        headers |= {"x-request-id": relayed.request_id, "x-request-timeout-ms": str(left_ms)}
        session = await self._renewed_session()
        async with session.post(relayed.url, data=body.data(), headers=headers, allow_redirects=False) as response:
            if _is_ours(response):
                with suppress(_Unreadable):
                    return await answer.relay(response)
            about = {
                "status": response.status,
                "reason": "its answer is none of Tandem's, or it does not know our tokens",
            }
            log.error("a remote cannot be used", extra=_about(relayed) | about)
        answer.say(problem("remote_unavailable"))
        return "remote_unavailable"

    async def _renewed_session(self) -> aiohttp.ClientSession:
        """The connections to use now."""
        now = time.monotonic()
        if self._session is None or now - self._renewed > RENEW_EVERY_S:
            if self._session is not None:
                self._before.append((now + self._timeout_s + 2 * GRACE_S, self._session))
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=NOT_OURS,
            )
            self._renewed = now
            while self._before and self._before[0][0] < now:
                await self._before.pop(0)[1].close()
        return self._session


class _Body:
    """A request's body: held where it is small, else passed through."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._parts: list[bytes] = []
        self._size = 0
        self.whole = False
        """Whether all of it is here, so that it can be sent again."""
        self.failed: Exception | None = None

    async def begin(self) -> None:
        """Take in what will be held. Raises ClientGone or TooLarge."""
        while not self.whole and self._size <= HELD_BYTES:
            self._parts.append(await self._part())

    def data(self) -> bytes | AsyncIterator[bytes]:
        """What is to be sent."""
        return b"".join(self._parts) if self.whole else self._rest()

    async def _rest(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part
        self._parts.clear()
        while not self.whole:
            try:
                yield await self._part()
            except (ClientGone, TooLarge) as e:
                self.failed = e  # the client library wraps what is raised here
                raise

    async def _part(self) -> bytes:
        part, self.whole = await self._incoming.part()
        self._size += len(part)
        return part


class _Answer:
    """What goes back to the caller."""

    def __init__(self, caller: Caller, request_id: str) -> None:
        self._caller = caller
        self._request_id = request_id
        self.begun = False

    async def relay(self, response: aiohttp.ClientResponse) -> str:
        """Pass an answer on; its code."""
        length = response.content_length
        if response.status != 200 or (length is not None and length <= HELD_BYTES):
            body = await _held(response)
            code = "ok" if response.status == 200 else _code(response.status, body)
            self._begin(response)
            await self._caller.send(body)
            self._caller.end()
            return code
        self._begin(response)
        async for part in response.content.iter_any():
            await self._caller.send(part)
        self._caller.end()
        return "ok"

    def say(self, said: Problem) -> None:
        """Answer with a problem of our own."""
        status, headers, body = said.message(self._request_id)
        self.begun = True
        self._caller.reply(status, b"".join(b"%b: %b\r\n" % pair for pair in headers), body)

    def _begin(self, response: aiohttp.ClientResponse) -> None:
        told = ((name.lower(), value) for name, value in response.raw_headers)
        headers = [(name, value) for name, value in told if name in PASSED_BACK]
        self.begun = True
        self._caller.start(response.status, [*headers, (b"x-request-id", self._request_id.encode())])


async def _held(response: aiohttp.ClientResponse) -> bytes:
    """The whole body. Raises _Unreadable where it is larger than anything that is held."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > HELD_BYTES:
            raise _Unreadable
    return b"".join(parts)


def _is_ours(response: aiohttp.ClientResponse) -> bool:
    """Whether a Tandem that knows the caller has answered; a proxy on the way has error pages of its own."""
    if response.status == 401:  # the caller's token is good here, so it is we who are not believed
        return False
    return response.status == 200 or (400 <= response.status < 600 and response.content_type == MEDIA_TYPE)


def _code(status: int, body: bytes) -> Code:
    """The code of a problem document. Raises _Unreadable where it is none; a newer server may have codes of its own."""
    try:
        code: Code = orjson.loads(body)["code"]
    except (ValueError, KeyError, TypeError) as e:
        raise _Unreadable from e
    if not isinstance(code, str):
        raise _Unreadable
    if code in CODES:
        return code
    return "internal_error" if status >= 500 else "bad_request"


def _about(relayed: Relayed) -> dict[str, object]:
    return {"remote": relayed.remote, "request_id": relayed.request_id}
