"""Problem documents (RFC 9457): the one table from what went wrong to what a caller sees.

Every text here is ours. Exception texts, paths and class names stay in the log, under the request id.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, get_args

import orjson

MEDIA_TYPE = "application/problem+json"
CODE_HEADER = b"x-tandem-code"
"""Names the code of a refusal that another dialect than our own tells, where the body may have no place for it."""

Code = Literal[
    "bad_request",
    "bad_body",
    "unauthenticated",
    "forbidden",
    "cross_site",
    "confirm",
    "groups_overage",
    "not_found",
    "unknown_model",
    "unknown_deployment",
    "no_traffic",
    "method_not_allowed",
    "request_timeout",
    "body_too_large",
    "headers_too_large",
    "not_acceptable",
    "unsupported_media_type",
    "unsupported_encoding",
    "invalid_input",
    "conflict",
    "not_collected",
    "in_file",
    "has_traffic",
    "precondition_failed",
    "bad_definition",
    "bad_traffic",
    "unsupported_field",
    "bad_archive",
    "queue_full",
    "too_many_attempts",
    "crashes_too_often",
    "rate_limited",
    "quota_exceeded",
    "model_failed",
    "worker_crashed",
    "internal_error",
    "not_implemented",
    "no_worker",
    "overloaded",
    "too_many_connections",
    "remote_unavailable",
    "provider_unavailable",
    "accounts_unavailable",
    "recorder_unavailable",
    "store_unavailable",
    "deadline_exceeded",
]
CODES: tuple[Code, ...] = get_args(Code)

STATUS: Mapping[Code, int] = {
    "bad_request": 400,
    "bad_body": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "cross_site": 403,
    "confirm": 403,
    "groups_overage": 403,
    "not_found": 404,
    "unknown_model": 404,
    "unknown_deployment": 404,
    "no_traffic": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "request_timeout": 408,
    "body_too_large": 413,
    "headers_too_large": 431,
    "unsupported_media_type": 415,
    "unsupported_encoding": 415,
    "invalid_input": 422,
    "conflict": 409,
    "not_collected": 409,
    "in_file": 409,
    "has_traffic": 409,
    "precondition_failed": 412,
    "bad_definition": 422,
    "bad_traffic": 422,
    "unsupported_field": 422,
    "bad_archive": 422,
    "queue_full": 429,
    "too_many_attempts": 429,
    "crashes_too_often": 429,
    "rate_limited": 429,
    "quota_exceeded": 429,
    "model_failed": 500,
    "worker_crashed": 500,
    "internal_error": 500,
    "not_implemented": 501,
    "no_worker": 503,
    "overloaded": 503,
    "too_many_connections": 503,
    "remote_unavailable": 503,
    "provider_unavailable": 503,
    "accounts_unavailable": 503,
    "recorder_unavailable": 503,
    "store_unavailable": 503,
    "deadline_exceeded": 504,
}

DETAIL: Mapping[Code, str] = {
    "bad_request": "The request cannot be read.",
    "bad_body": "The body cannot be read as what its Content-Type says.",
    "unauthenticated": "A valid access token or API key is needed, as 'Authorization: Bearer …'. Tokens: /auth/token.",
    "forbidden": "Your role does not allow this.",
    "cross_site": "A cookie is taken only from a page of this server itself.",
    "confirm": "You signed in a while ago. Show your password again (POST /auth/session/confirm), or sign in again "
    "with your identity provider.",
    "groups_overage": "Your identity provider left your groups out of the token, as they are too many.",
    "not_found": "There is nothing here.",
    "unknown_model": "No such model or version is served. GET /v1/models lists those that are.",
    "unknown_deployment": "The endpoint has no deployment of this name.",
    "no_traffic": "No deployment of this endpoint gets any traffic. GET /v1/endpoints shows what each would get.",
    "method_not_allowed": "This method is not allowed here.",
    "request_timeout": "The request did not arrive in time.",
    "body_too_large": "The body is larger than this server accepts. Send fewer rows per request.",
    "headers_too_large": "The head of the request is larger than this server accepts.",
    "not_acceptable": "Replies are application/json, application/vnd.apache.arrow.stream or text/csv.",
    "unsupported_media_type": "Send the body as application/json, application/vnd.apache.arrow.stream or text/csv; "
    "to a model of images also as image/jpeg or image/png.",
    "unsupported_encoding": "Send the body as it is, or with Content-Encoding gzip, deflate or zstd.",
    "invalid_input": "The body does not fit the model's schema.",
    "conflict": "This is in conflict with what exists.",
    "not_collected": "Nothing is recorded of this model or endpoint; its sidecar or deployment has to say 'collect'.",
    "in_file": "The endpoints of this server come from a folder of files. Change them where the files come from.",
    "has_traffic": "The deployment has traffic. Give it to another one first.",
    "precondition_failed": "Somebody has changed the endpoint since you looked. Look again, then decide.",
    "bad_definition": "The definition cannot be used.",
    "bad_traffic": "The percentages break a rule.",
    "bad_archive": "The archive is not unpacked.",
    "unsupported_field": "A field of the definition means nothing here.",
    "queue_full": "Too many requests wait already. Try again after the time in Retry-After.",
    "too_many_attempts": "Too many attempts. Try again after the time in Retry-After.",
    "crashes_too_often": "Several of your requests have ended this model's process within a minute. Correct them; try "
    "again after the time in Retry-After.",
    "rate_limited": "A limit allows you fewer requests in this time. Try again after the time in Retry-After.",
    "quota_exceeded": "Your quota of requests or rows is used up. Try again after the time in Retry-After.",
    "model_failed": "The model could not predict these rows.",
    "worker_crashed": "The model's process crashed twice on this request. It will not be tried again.",
    "internal_error": "The server failed. Its log has the reason, under the request id.",
    "not_implemented": "This server does not do that: what is served is decided by the files in the model folder.",
    "no_worker": "No worker can answer for this model at present. Try again shortly.",
    "overloaded": "The wait for a worker would be too long. Try again after the time in Retry-After.",
    "too_many_connections": "This server holds as many connections as it may. Try again shortly.",
    "remote_unavailable": "The server that has this model cannot be reached. Try again shortly.",
    "provider_unavailable": "The identity provider cannot be reached to check its tokens. Try again shortly.",
    "accounts_unavailable": "The accounts cannot be reached, so who is asking cannot be looked up. Try again shortly.",
    "recorder_unavailable": "What was sent could not be kept: the recorder is being started, or its disk is full. "
    "Send it again.",
    "store_unavailable": "The definitions of endpoints cannot be read or written at present. Try again shortly.",
    "deadline_exceeded": "The model did not answer in time.",
}

RETRY_AFTER_S: Mapping[Code, float] = {
    "queue_full": 0.1,
    "no_worker": 0.5,
    "overloaded": 0.1,
    "too_many_connections": 1.0,
    "remote_unavailable": 1.0,
    "provider_unavailable": 1.0,
    "accounts_unavailable": 1.0,
    "store_unavailable": 1.0,
}
"""Seconds to say in Retry-After where nothing better is known."""


Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
"""A whole answer: status, headers, body."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal, ready to be written."""

    code: Code
    detail: str
    errors: Sequence[Mapping[str, Any]] = ()
    model_message: str | None = None
    retry_after_s: float | None = None
    allow: str | None = None
    """The methods that are allowed, where another one was used."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]

    def body(self, request_id: str) -> bytes:
        """The document."""
        document: dict[str, Any] = {
            "type": f"urn:tandem:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.errors:
            document["errors"] = list(self.errors)
        if self.model_message is not None:
            document["model_message"] = self.model_message
        return orjson.dumps(document)

    def headers(self) -> dict[str, str]:
        """Headers beyond those that every reply has."""
        headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store", "x-content-type-options": "nosniff"}
        if self.retry_after_s is not None:
            # The standard knows whole seconds only; the second is what the clients of OpenAI and Azure understand.
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after_s)))
            headers["retry-after-ms"] = str(math.ceil(self.retry_after_s * 1000))
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        if self.allow is not None:
            headers["allow"] = self.allow
        return headers

    def message(self, request_id: str, close: bool = False) -> Answer:
        """Status, headers and body of the whole reply; with `close` it is the last one on its connection."""
        body = self.body(request_id)
        headers = self.headers() | {"content-length": str(len(body)), "x-request-id": request_id}
        if close:
            headers["connection"] = "close"
        return self.status, [(name.encode(), value.encode()) for name, value in headers.items()], body


class ProblemError(Exception):
    """Raised where a request is to be answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def problem(code: Code, detail: str | None = None, **more: Any) -> Problem:
    """A problem with the table's words, unless others are given."""
    more.setdefault("retry_after_s", RETRY_AFTER_S.get(code))
    return Problem(code, detail or DETAIL[code], **more)
