"""The scoring route: pure ASGI in front of FastAPI, because routing and dependencies cost more than all the rest.

The way of a request is `__call__` from top to bottom: path to target, token to principal, body as bytes (never parsed
here), one submit to the dispatcher, the worker's bytes back to the caller.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from functools import partial
from typing import Any

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from auth.authenticator import Authenticator
from auth.errors import ProviderRefusal, Throttled, TwoCredentials, Unauthenticated
from auth.principal import Principal
from server.config import Settings
from server.dispatch.dispatcher import Refused, Scored
from server.dispatch.messages import Refusal, Request
from server.metrics import REMOTE, WebMetrics
from server.web import outcomes
from server.web.json_schema import takes_image
from server.web.problems import DETAIL, Code, Problem, problem
from server.web.request_id import RequestIds
from server.web.scoring.access_log import AccessLog
from server.web.scoring.caller import Caller
from server.web.scoring.relay import ClientGone, Relay, Relayed, TooLarge
from server.web.scoring.serving import Serving
from server.web.scoring.target import Target
from server.wire.frames import Encoding, MediaType, Member, Pieces, ReplyCode

log = logging.getLogger(__name__)

SCORE_PATH = re.compile(r"/v1/models/[^/]+(/versions/[^/]+)?/score")

MEDIA_TYPES: dict[bytes, int] = {
    b"application/json": MediaType.JSON,
    b"application/vnd.apache.arrow.stream": MediaType.ARROW,
    b"text/csv": MediaType.CSV,
}
"""Of bodies and of replies."""
IMAGE_TYPES: dict[bytes, int] = {b"image/jpeg": MediaType.JPEG, b"image/png": MediaType.PNG}
"""Of bodies only, each a row of a model whose only input is an image; it is answered in JSON."""
NAMES = {number: name for name, number in MEDIA_TYPES.items()}
ENCODINGS: dict[bytes, int] = {b"identity": Encoding.IDENTITY, b"gzip": Encoding.GZIP, b"zstd": Encoding.ZSTD}

MAX_WARNINGS_BYTES = 4096
MAX_WARNING_CHARS = 500

UNKNOWN_ROUTE = "/v1/models/{model}/score"
"""In the metrics, where scoring failed before it was known whether there is such a model."""
GONE = "client_gone"
"""In metrics and log, where no answer has a code: the client hung up first."""


class _Stop(Exception):
    """The request is answered with this problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class _Gone(Exception):
    """The client hung up."""


class ScoringRoute:
    """The ASGI application: scoring requests here, everything else to `app`."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        serving: Serving,
        relay: Relay,
        authenticator: Authenticator,
        metrics: WebMetrics,
        access_log: AccessLog,
        request_ids: RequestIds,
    ) -> None:
        self._app = app
        self._settings = settings
        self._max_body_bytes = settings.max_body_bytes
        self._serving = serving
        self._relay = relay
        self._authenticator = authenticator
        self._metrics = metrics
        self._access_log = access_log
        self._request_ids = request_ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI event stream."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        target = self._serving.targets.get(scope["path"])
        if target is None and not SCORE_PATH.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        headers = dict(scope["headers"])
        request_id = self._request_ids.of(headers)
        principal: Principal | None = None
        scored: Scored | None = None
        try:
            principal = self._authenticator.known(headers)
            if principal is None:
                principal = await self._authenticator.recognise(headers, (scope.get("client") or ("",))[0])
            scope["tandem.caller"].vouched()
            target = self._checked(_allowed(target, principal), scope["method"], headers)
            deadline = started + _timeout_s(headers, target)
            if target.dispatcher is None:
                code = await self._forward(target, scope, headers, request_id, deadline, receive, send)
            else:
                content, accept, encoding = _negotiated(headers, target)
                body = await self._body(receive)
                target = self._moved(target, scope["path"])
                member = Member(body, content, accept, encoding, scope["query_string"], request_id.encode())
                if target.raw:
                    member = _for_script(member)
                scored = await self._score(target, member, started, deadline, principal, scope["tandem.caller"])
                if scored.result.code != ReplyCode.OK:
                    raise _Stop(outcomes.failed(scored, principal.may("details", target.entry.name)))
                code = "ok"
                await _send(send, 200, _ok_headers(scored, member.accept, request_id), scored.result.body)
        except (_Gone, ClientGone):
            code = GONE
        except (Exception, asyncio.CancelledError) as error:  # cancelled by whoever holds the future, or at the stop
            code = await self._refuse(error, request_id, send, scope["tandem.caller"])
        try:
            self._account(target, code, time.monotonic() - started, scored, request_id, principal)
        except Exception:
            log.exception("a request could not be accounted for", extra={"request_id": request_id})

    async def _refuse(self, error: BaseException, request_id: str, send: Send, caller: Caller) -> Code:
        """Answer with what went wrong; the code of the answer."""
        said = self._problem(error, request_id)
        try:
            await _send(send, *said.message(request_id))
        except (Exception, asyncio.CancelledError):  # half of an answer may be out: all that is left is to end it
            log.exception("an answer could not be written", extra={"request_id": request_id})
            caller.cut()
            return "internal_error"
        return said.code

    def _problem(self, error: BaseException, request_id: str) -> Problem:
        match error:
            case _Stop():
                return error.problem
            case Refused():
                return outcomes.refused(error)
            case Unauthenticated():
                log.info("refused", extra={"request_id": request_id, "reason": error.reason})
                return problem("unauthenticated")
            case ProviderRefusal():
                return problem(error.code, error.explanation)
            case TwoCredentials():
                return problem("bad_request", error.text)
            case Throttled():
                return problem("too_many_attempts", retry_after_s=error.retry_after_s)
            case TooLarge():
                return self._too_large()
        log.error("the scoring route failed", exc_info=error, extra={"request_id": request_id})
        return problem("internal_error")

    def _checked(self, target: Target | None, method: str, headers: dict[bytes, bytes]) -> Target:
        if target is None:
            unheard = ", ".join(self._serving.unheard())
            if unheard:
                told = f"There is no such model here. Another server, which may have it, cannot be reached: {unheard}."
                raise _Stop(problem("remote_unavailable", told))
            raise _Stop(problem("unknown_model"))
        if method != "POST":
            raise _Stop(problem("method_not_allowed", allow="POST"))
        if int(headers.get(b"content-length", b"0")) > self._max_body_bytes:
            raise _Stop(self._too_large())
        return target

    async def _body(self, receive: Receive) -> bytes | Pieces:
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._max_body_bytes:
                raise _Stop(self._too_large())
            more = message.get("more_body", False)
        return parts[0] if len(parts) == 1 else Pieces(parts, size)

    def _moved(self, target: Target, path: str) -> Target:
        """Where the path leads now: the model may have got another version while the body came in."""
        now = self._serving.targets.get(path, target)
        return target if now.dispatcher is None else now

    async def _forward(
        self,
        target: Target,
        scope: Scope,
        headers: dict[bytes, bytes],
        request_id: str,
        deadline: float,
        receive: Receive,
        send: Send,
    ) -> str:
        """Have the server answer that has the model."""
        query = scope["query_string"].decode("latin-1")
        url = f"{target.url}?{query}" if query else target.url
        relayed = Relayed(target.entry.remote, url, headers, request_id, deadline, self._max_body_bytes)
        return await self._relay.forward(relayed, receive, send, scope["tandem.caller"])

    async def _score(
        self,
        target: Target,
        member: Member,
        started: float,
        deadline: float,
        principal: Principal,
        caller: Caller,
    ) -> Scored:
        entry = target.entry
        request = Request(
            pool=entry.pool,
            model=entry.name,
            model_key=entry.key,
            member=member,
            body_bytes=len(member.body),
            deadline=deadline,
            arrived=started,
            pinned=target.pinned,
            principal=principal.name,
        )
        dispatcher = target.dispatcher
        assert dispatcher is not None
        scored = dispatcher.submit(request)
        caller.on_gone = partial(dispatcher.abandon, request)
        try:
            return await scored
        except Refused as refused:
            if refused.refusal is Refusal.ABANDONED:
                raise _Gone from refused
            raise

    def _too_large(self) -> Problem:
        limit = f"{self._settings.max_body_mb:g} MiB"
        return problem("body_too_large", f"The body is larger than {limit}. Send fewer rows per request.")

    def _account(
        self,
        target: Target | None,
        code: str,
        seconds: float,
        scored: Scored | None,
        request_id: str,
        principal: Principal | None,
    ) -> None:
        """Count and log. A model or version that does not exist makes no label and no line of its own."""
        rows = scored.result.rows if scored is not None else 0
        if target is not None:
            entry = target.entry
            runtime = entry.runtime if target.dispatcher is not None else REMOTE
            self._metrics.answered(entry.name, entry.version, runtime, code, seconds, rows)
            if scored is not None:
                reply = scored.reply
                stages_s = (scored.queue_s, reply.decode_s, reply.predict_s, reply.encode_s)
                self._metrics.staged(entry.name, entry.runtime, stages_s)
        elif code == "internal_error":
            self._metrics.route_failed(UNKNOWN_ROUTE)
        self._access_log.write(
            request_id,
            principal.name if principal is not None else None,
            target.entry if target is not None else None,
            code,
            rows,
            seconds,
            scored,
        )


def _allowed(target: Target | None, principal: Principal) -> Target | None:
    """The target if the principal may score with it; None for one that it may not even see."""
    name = target.entry.name if target is not None else None
    if principal.may("score", name):
        return target
    if name is not None and principal.may("list") and not principal.may("list", name):
        return None
    raise _Stop(problem("forbidden"))


def _timeout_s(headers: dict[bytes, bytes], target: Target) -> float:
    """How long this request may take: what its sender says, at most what the model is given."""
    said = headers.get(b"x-request-timeout-ms")
    if said is not None and not _MILLISECONDS.fullmatch(said):
        raise _Stop(problem("bad_request", "X-Request-Timeout-Ms is a whole number of milliseconds, at least 1."))
    if said is None:  # what Envoy and Istio tell of the time that they will wait
        said = headers.get(b"x-envoy-expected-rq-timeout-ms")
        if said is None or not _MILLISECONDS.fullmatch(said):
            return target.timeout_s
    return min(int(said) / 1000, target.timeout_s)


_MILLISECONDS = re.compile(rb"[1-9][0-9]{0,9}")


def _negotiated(headers: dict[bytes, bytes], target: Target) -> tuple[int, int, int]:
    """The body's media type, the reply's, and the body's encoding; a reply is like its request if nothing is said."""
    content, like = _content(_bare(headers.get(b"content-type", b"")), target)
    encoding = ENCODINGS.get(headers.get(b"content-encoding", b"identity").lower())
    if encoding is None:
        raise _Stop(problem("unsupported_encoding"))
    accept = headers.get(b"accept")
    return content, like if accept is None else _accepted(accept, like), encoding


def _content(name: bytes, target: Target) -> tuple[int, int]:
    """The body's media type, and what a reply is if nothing else is said."""
    content = MEDIA_TYPES.get(name)
    if content is not None:
        return content, content
    image = IMAGE_TYPES.get(name)
    if image is None:
        raise _Stop(problem("unsupported_media_type"))
    if not takes_image(target.entry):
        told = "This model does not take an image. " + DETAIL["unsupported_media_type"]
        raise _Stop(problem("unsupported_media_type", told))
    return image, MediaType.JSON


def _for_script(member: Member) -> Member:
    """A script takes text and answers in JSON, whatever else is wanted."""
    if member.content not in (MediaType.JSON, MediaType.CSV):
        raise _Stop(problem("unsupported_media_type"))
    return member._replace(accept=MediaType.JSON)


def _accepted(accept: bytes, content: int) -> int:
    """The media type that an Accept header likes best of those that we have; a wildcard means that of the request."""
    best, best_weight = None, 0.0
    for item in accept.lower().split(b","):
        media_type = _meant(_bare(item), content)
        weight = _WEIGHT.search(item)
        if media_type is not None and (liked := float(weight[1]) if weight else 1.0) > best_weight:
            best, best_weight = media_type, liked
    if best is None:
        raise _Stop(problem("not_acceptable"))
    return best


_WEIGHT = re.compile(rb";[ \t]*q=([01](?:\.\d{0,3})?)[ \t]*(?:;|$)")


def _meant(name: bytes, content: int) -> int | None:
    if name in (b"*/*", b"") or (name.endswith(b"/*") and NAMES[content].startswith(name[:-1])):
        return content
    wild = {b"application/*": MediaType.JSON, b"text/*": MediaType.CSV}
    return MEDIA_TYPES.get(name) or wild.get(name)


def _bare(value: bytes) -> bytes:
    return value.partition(b";")[0].strip().lower()


def _ok_headers(scored: Scored, accept: int, request_id: str) -> list[tuple[bytes, bytes]]:
    reply = scored.reply
    times_s = (("queue", scored.queue_s), ("decode", reply.decode_s), ("predict", reply.predict_s))
    timing = ", ".join(f"{name};dur={seconds * 1e3:.3f}" for name, seconds in (*times_s, ("encode", reply.encode_s)))
    headers = [
        (b"content-type", NAMES[accept]),
        (b"content-length", b"%d" % len(scored.result.body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", request_id.encode()),
        (b"server-timing", timing.encode()),
    ]
    if scored.result.notes:
        headers.append((b"x-tandem-warnings", _warnings(scored.result.notes)))
    return headers


def _warnings(notes: bytes) -> bytes:
    """As many of the warnings as a header may hold: a JSON array in ASCII."""
    told: list[str] = []
    size = 2
    for warning in orjson.loads(notes):
        text = json.dumps(warning[:MAX_WARNING_CHARS]).replace("\x7f", "\\u007f")
        size += len(text) + 2
        if size > MAX_WARNINGS_BYTES:
            break
        told.append(text)
    return f"[{', '.join(told)}]".encode()


async def _send(send: Send, status: int, headers: list[Any], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
