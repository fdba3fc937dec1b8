"""Passes a scoring request on to the Tandem server that has the model, and its answer back.

A body of up to a mebibyte is held until it is answered: should the connection fail before there is an answer, it goes
once more, on another connection, as a request goes to another worker when one dies. What is larger is passed on as it
comes, once. Answers are passed back likewise.

The connections are `upstream.py`'s.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import orjson

from auth.credentials.credential import SECRET_HEADERS
from auth.principal import Principal
from server.web.dialects.dialect import Dialect
from server.web.problems import CODE_HEADER, CODES, MEDIA_TYPE, Code, Problem, problem
from server.web.scoring.caller import Caller
from server.web.scoring.incoming import ClientGone, Incoming
from server.web.scoring.upstream import HELD_BYTES, Broken, Response, Upstream, origin
from server.wire.heads import RESERVED

log = logging.getLogger(__name__)

GRACE_S = 1.0
"""What the other server is given beyond the deadline, so that the 504 is its own, which knows more."""
PASSED_ON = (
    *(b"content-type", b"content-encoding", b"accept", b"inference-header-content-length"),
    *(b"x-ms-request-id", b"x-ms-client-request-id", b"traceid"),
)
PASSED_BACK = (
    *(b"content-type", b"cache-control", b"retry-after", b"retry-after-ms"),
    *(b"inference-header-content-length", CODE_HEADER),
    *(b"ratelimit-policy", b"ratelimit", b"server-timing", b"x-content-type-options", b"x-tandem-warnings"),
    *(b"x-ms-request-id", b"x-ms-client-request-id", b"traceid", b"x-ms-run-function-failed", b"x-ms-run-fn-exec-ms"),
    *(b"ms-azureml-model-error-statuscode", b"ms-azureml-model-error-reason", b"azureml-model-deployment"),
    b"content-security-policy",
)
OURS_ALONE = frozenset(
    (
        *(b"connection", b"content-length", b"expect", b"host", b"keep-alive", b"te", b"trailer"),
        *(b"transfer-encoding", b"upgrade", b"x-forwarded-for", b"x-request-id", b"x-request-timeout-ms"),
        *SECRET_HEADERS,
    )
)
"""Headers that are not passed on to a script either, which is shown all others."""
_RESERVED = frozenset(name.encode() for name in RESERVED)


Authorization = Callable[[Principal, Mapping[bytes, bytes]], bytes]
"""Makes the header by which another server recognises who sent these headers to us."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """A request to be passed on: to `url`, with its query, by a point on the monotonic clock in seconds.

    A scoring script may see all of its headers, and choose the status and headers of the answer.
    """

    principal: Principal
    remote: str
    method: bytes
    url: str
    headers: dict[bytes, bytes]
    request_id: str
    deadline: float
    dialect: Dialect
    to_script: bool = False

    def passed_on(self) -> list[tuple[bytes, bytes]]:
        """The headers that the other server is sent."""
        if self.to_script:
            return [pair for pair in self.headers.items() if pair[0] not in OURS_ALONE]
        return [(name, self.headers[name]) for name in PASSED_ON if name in self.headers]


class Relay:
    """This web process's connections to other servers."""

    def __init__(self, authorization: Authorization) -> None:
        self._authorization = authorization
        self._upstreams: dict[str, Upstream] = {}

    def close(self) -> None:
        """Close all connections."""
        for upstream in self._upstreams.values():
            upstream.close()

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
        answer = _Answer(caller, relayed)
        try:
            async with asyncio.timeout(relayed.deadline + GRACE_S - time.monotonic()):
                for last in (False, True) if body.whole else (True,):
                    try:
                        return await self._attempt(relayed, body, answer)
                    except Broken as e:
                        if last or answer.begun:
                            log.warning("a remote did not answer", extra=_about(relayed) | {"reason": str(e)})
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
        server, path = origin(relayed.url)
        upstream = self._upstreams.get(server)
        if upstream is None:
            upstream = self._upstreams[server] = Upstream(server)
        headers = relayed.passed_on()
        if authorization := self._authorization(relayed.principal, relayed.headers):
            headers.append((b"authorization", authorization))
        headers.append((b"x-request-id", relayed.request_id.encode()))
        left_ms = max(1, int((relayed.deadline - time.monotonic()) * 1000))
        headers.append((b"x-request-timeout-ms", b"%d" % left_ms))
        data = body.data()
        if isinstance(data, bytes):
            headers.append((b"content-length", b"%d" % len(data)))
        elif b"content-length" in relayed.headers:
            headers.append((b"content-length", relayed.headers[b"content-length"]))
        response = await upstream.send(relayed.method, path, headers, data)
        try:
            code = await answer.relay(response) if answer.by_script(response) or _is_ours(response) else None
        finally:
            response.cancel()
        if code is not None:
            return code
        reason = "its answer is none of Tandem's, or it does not know our tokens"
        log.error("a remote cannot be used", extra=_about(relayed) | {"status": response.status, "reason": reason})
        answer.say(problem("remote_unavailable"))
        return "remote_unavailable"


class _Body:
    """A request's body: held where it is small, else passed through."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._parts: list[bytes] = []
        self._size = 0
        self.whole = False
        """Whether all of it is here, so that it can be sent again."""

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
            yield await self._part()

    async def _part(self) -> bytes:
        part, self.whole = await self._incoming.part()
        self._size += len(part)
        return part


class _Answer:
    """What goes back to the caller."""

    def __init__(self, caller: Caller, relayed: Relayed) -> None:
        self._caller = caller
        self._request_id = relayed.request_id
        self._dialect = relayed.dialect
        self._to_script = relayed.to_script
        self.begun = False

    def by_script(self, response: Response) -> bool:
        """Whether a script of another Tandem has answered, whatever its status."""
        told = (b"x-ms-run-function-failed", b"azureml-model-deployment")
        return self._to_script and all(map(response.header, told)) and not response.header(CODE_HEADER)

    async def relay(self, response: Response) -> str | None:
        """Pass an answer on; its code, or None where it is a refusal that is no problem document of ours."""
        body = response.body()
        if response.status == 200 or self.by_script(response):
            code: str | None = "ok" if response.status < 500 else "model_failed"
        else:
            code = _code(response, body or b"")
        if code is None:
            return None
        headers = self._headers(response)
        self.begun = True
        if body is not None:
            headers.append((b"content-length", b"%d" % len(body)))
            self._caller.reply(response.status, _lines(headers), body)
            return code
        length = response.header(b"content-length")
        self._caller.start(response.status, [*headers, (b"content-length", length)] if length else headers)
        async for part in response.parts():
            await self._caller.send(part)
        self._caller.end()
        return code

    def say(self, said: Problem) -> None:
        """Answer with a problem of our own."""
        status, headers, body = self._dialect.refusal(said, self._request_id)
        self.begun = True
        self._caller.reply(status, _lines(headers), body)

    def _headers(self, response: Response) -> list[tuple[bytes, bytes]]:
        scripts = self.by_script(response)
        headers = [p for p in response.headers if p[0] in PASSED_BACK or (scripts and p[0] not in _RESERVED)]
        return [*headers, (b"x-request-id", self._request_id.encode())]


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % pair for pair in headers)


def _is_ours(response: Response) -> bool:
    """Whether a Tandem that knows the caller has answered; a proxy on the way has error pages of its own."""
    if response.status == 401:  # the caller's token is good here, so it is we who are not believed
        return False
    media_type = response.header(b"content-type").partition(b";")[0].strip().lower()
    is_refusal = media_type == MEDIA_TYPE.encode() or response.header(CODE_HEADER) != b""
    return response.status == 200 or (400 <= response.status < 600 and is_refusal)


def _code(response: Response, body: bytes) -> str | None:
    """The code of a refusal, None where it has none; a newer server may have codes of its own."""
    try:
        code = response.header(CODE_HEADER).decode() or orjson.loads(body)["code"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(code, str):
        return None
    if code in CODES:
        return str(code)
    return "internal_error" if response.status >= 500 else "bad_request"


def _about(relayed: Relayed) -> dict[str, object]:
    return {"remote": relayed.remote, "request_id": relayed.request_id}
