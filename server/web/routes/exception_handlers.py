"""What FastAPI's side raises, as problem documents; and the headers that every reply of it carries."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, get_args

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auth.errors import (
    AccountError,
    Forbidden,
    KeyInUrl,
    SignInFailed,
    Unauthenticated,
)
from auth.key_text import has_key
from auth.routes.closed import address_of
from auth.setup import Auth
from server.metrics import WebMetrics
from server.web.outcomes import Unrecognised, unrecognised
from server.web.problems import Answer, Code, Problem, ProblemError, problem
from server.web.request_id import RequestIds

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 << 10

NEVER_KEPT = "/auth/"
"""What no cache may keep: who somebody is, and what they may do."""
QUIET = ("/health/", "/v2/health/", "/assets/", "/v1/catalog")
"""Asked every few seconds, or with every page: a line for each would bury the others."""


Telling = Callable[[str, Problem, str], Answer]
"""Makes the answer that tells what went wrong, of a path, the problem and the request's id."""


Echoing = Callable[[str, Mapping[bytes, bytes], str], bytes]
"""Makes the lines of an answer's head that repeat something of the request, of a path, its headers and its id."""


BodyLimits = Callable[[str], int]
"""The largest size of a body in bytes, by path."""


def install(
    app: FastAPI,
    request_ids: RequestIds,
    metrics: WebMetrics,
    telling: Telling | None = None,
    echoing: Echoing | None = None,
    body_limit: BodyLimits | None = None,
) -> None:
    """Have every failure of the application told as `telling` says, or else by problem documents."""
    app.state.telling = telling or _document
    app.add_exception_handler(Unauthenticated, _unauthenticated)
    app.add_exception_handler(Forbidden, _forbidden)
    app.add_exception_handler(AccountError, _account)
    for kind in get_args(Unrecognised):
        app.add_exception_handler(kind, _unrecognised)
    app.add_exception_handler(SignInFailed, _sign_in_failed)
    app.add_exception_handler(ProblemError, _stopped)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_middleware(BodyLimit, of_path=body_limit or (lambda _: MAX_BODY_BYTES))
    app.add_middleware(Identified, request_ids=request_ids, metrics=metrics, echoing=echoing)


class Identified:
    """Gives each request its id and each reply the common headers; counts, logs and answers what a route fails with."""

    def __init__(
        self, app: ASGIApp, request_ids: RequestIds, metrics: WebMetrics, echoing: Echoing | None = None
    ) -> None:
        self._app = app
        self._echoing = echoing
        self._request_ids = request_ids
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI event stream."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        scope = _as_get(scope)
        given = dict(scope["headers"])
        request_id = self._request_ids.of(given)
        Request(scope).state.request_id = request_id
        status = 0

        async def identified(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"], headers["x-content-type-options"] = request_id, "nosniff"
                if scope["path"].startswith(NEVER_KEPT):
                    headers.setdefault("cache-control", "no-store")
                if self._echoing is not None:
                    message["headers"] += _pairs(self._echoing(scope["path"], given, request_id))
            await send(message)

        failed = False
        try:
            if has_key(scope["query_string"]):
                auth: Auth = scope["app"].state.auth
                auth.authenticator.refuse_keys(scope["query_string"], lambda: address_of(Request(scope)))
            await self._app(scope, receive, identified)
        except KeyInUrl as error:
            await reply(Request(scope), unrecognised(error))(scope, receive, identified)
        except ClientDisconnect:
            pass  # nobody is there to read an answer
        except Exception:
            failed = True
            self._note_failure(scope, request_id)
            if status:  # half of the answer is out: all that is left is to end the connection
                scope["tandem.caller"].cut()
            else:
                await reply(Request(scope), problem("internal_error"))(scope, receive, identified)
        finally:
            if "principal" in scope.get("state", {}) and "tandem.caller" in scope:
                scope["tandem.caller"].vouched()
            if failed or not scope["path"].startswith(QUIET):
                about = {"method": scope["tandem.method"], "path": scope["path"], "status": status}
                about |= {"request_id": request_id, "seconds": round(time.monotonic() - started, 6)}
                log.info("answered", extra=about)

    def _note_failure(self, scope: Scope, request_id: str) -> None:
        log.exception("a route failed", extra={"request_id": request_id, "path": scope["path"]})
        route = scope.get("route")
        self._metrics.route_failed(route.path if isinstance(route, Route) else "other")


def _pairs(lines: bytes) -> list[tuple[bytes, bytes]]:
    """Lines of a head as ASGI has them."""
    found = (line.partition(b": ") for line in lines.split(b"\r\n") if line)
    return [(name, value) for name, _, value in found]


def _as_get(scope: Scope) -> Scope:
    """What is asked with HEAD is answered as if with GET; the server leaves the body out, and tells its length."""
    method = scope["method"]
    return {**scope, "method": "GET" if method == "HEAD" else method, "tandem.method": method}


class BodyLimit:
    """Refuses bodies that no route but scoring needs; nobody is known yet when a sign-in is read."""

    def __init__(self, app: ASGIApp, of_path: BodyLimits) -> None:
        self._app = app
        self._of_path = of_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI event stream. A length that is declared is refused before anything of the body is read."""
        most = MAX_BODY_BYTES
        if scope["type"] == "http":
            most = self._of_path(scope["path"])
            declared = next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)
            if declared > most:
                await reply(Request(scope), problem("body_too_large"))(scope, receive, send)
                return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > most:
                raise HTTPException(413)  # FastAPI takes any other error of a body that is read for one of its form
            return message

        await self._app(scope, counted, send)


def reply(request: Request, problem: Problem) -> Response:
    """A problem as a response."""
    status, headers, body = request.app.state.telling(request.url.path, problem, request.state.request_id)
    response = Response(body, status)
    response.raw_headers = headers
    return response


def _document(_: str, problem: Problem, request_id: str) -> Answer:
    return problem.message(request_id)


async def _unauthenticated(request: Request, error: Exception) -> Response:
    assert isinstance(error, Unauthenticated)
    log.info("refused", extra={"request_id": request.state.request_id, "reason": error.reason})
    return reply(request, problem("unauthenticated"))


async def _forbidden(request: Request, _: Exception) -> Response:
    return reply(request, problem("forbidden"))


async def _unrecognised(request: Request, error: Exception) -> Response:
    assert isinstance(error, Unrecognised)
    return reply(request, unrecognised(error))


async def _sign_in_failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, SignInFailed)
    reason = str(error.__cause__ or error)
    log.info("a sign-in failed", extra={"request_id": request.state.request_id, "reason": reason})
    return reply(request, problem("bad_request", error.explanation))


async def _account(request: Request, error: Exception) -> Response:
    """Answer with the reason, which may be told, because only an administrator gets this far."""
    assert isinstance(error, AccountError)
    return reply(request, problem(error.code, error.explanation))


async def _invalid(request: Request, error: Exception) -> Response:
    """Answer with the places where the body does not fit, never with what it held: it may have been a password."""
    assert isinstance(error, RequestValidationError)
    errors = [_fault(e) for e in error.errors()[:100]]
    return reply(request, problem("invalid_input", "The request does not fit this route.", errors=errors))


def _fault(error: Any) -> dict[str, Any]:
    where = [str(part) for part in error["loc"] if part != "body"]
    return {
        "row": None,
        "column": ".".join(where) or None,
        "expected": error["msg"],
        "got": "something else",
        "hint": "",
    }


async def _stopped(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return reply(request, error.problem)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = reply(request, problem(_OF_STARLETTE.get(error.status_code, "bad_request")))
    response.headers.update(error.headers or {})
    if response.headers.get("allow") == "GET":
        response.headers["allow"] = "GET, HEAD"
    return response


_OF_STARLETTE: Mapping[int, Code] = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
"""The code of what the framework refuses by itself, before or around a route; routes raise `ProblemError`."""
