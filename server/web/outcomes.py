"""What went wrong with a scoring request, as a problem document: the tables, and nothing of HTTP or of sockets."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from auth.errors import (
    AccountsUnavailable,
    ConfirmFirst,
    CrossSite,
    KeyInUrl,
    OverLimit,
    ProviderRefusal,
    Throttled,
    TwoCredentials,
)
from server.dispatch.dispatcher import Refused, Scored
from server.dispatch.messages import Refusal
from server.web.problems import Code, Problem, problem
from server.wire.frames import ReplyCode

REFUSED: Mapping[Refusal, Code] = {
    Refusal.QUEUE_FULL: "queue_full",
    Refusal.OVERLOADED: "overloaded",
    Refusal.DEADLINE: "deadline_exceeded",
    Refusal.NO_WORKER: "no_worker",
    Refusal.WORKER_CRASHED: "worker_crashed",
    Refusal.CRASHES_TOO_OFTEN: "crashes_too_often",
    Refusal.MODEL_GONE: "unknown_model",
}
"""The code of each refusal of the dispatcher. A request whose client has gone has none: nobody reads an answer."""
REPLIED: Mapping[int, Code] = {
    ReplyCode.BAD_BODY: "bad_body",
    ReplyCode.TOO_LARGE: "body_too_large",
    ReplyCode.UNSUPPORTED_TYPE: "unsupported_media_type",
    ReplyCode.INVALID: "invalid_input",
    ReplyCode.MODEL_FAILED: "model_failed",
    ReplyCode.UNKNOWN_MODEL: "no_worker",
    ReplyCode.EXPIRED: "deadline_exceeded",
}
"""The code of each way in which a worker's call can fail."""
BACK_OFF = (Refusal.QUEUE_FULL, Refusal.OVERLOADED, Refusal.CRASHES_TOO_OFTEN)
"""Refusals that say when to try again."""
MIN_RETRY_S = 0.05
MAX_RETRY_S = 60.0


def refused(refusal: Refused) -> Problem:
    """The problem of a request that the dispatcher refused."""
    code = REFUSED[refusal.refusal]
    if refusal.refusal not in BACK_OFF:
        return problem(code)
    return problem(code, retry_after_s=min(max(refusal.wait_s, MIN_RETRY_S), MAX_RETRY_S))


def failed(scored: Scored, details: bool) -> Problem:
    """The problem of a request that a worker could not answer; with the model's own words where `details` are shown."""
    said = orjson.loads(scored.result.body)
    message = said.get("model_message") if details else None
    return problem(REPLIED[scored.result.code], said["detail"], errors=said.get("errors", ()), model_message=message)


def over_limit(error: OverLimit) -> Problem:
    """The problem of a caller who has asked for more than a limit allows."""
    return problem(error.code, error.explanation, retry_after_s=error.retry_after_s)


Unrecognised = AccountsUnavailable | ConfirmFirst | CrossSite | KeyInUrl | ProviderRefusal | TwoCredentials | Throttled
"""Errors that say that a credential could not be judged, or gives its caller nothing here."""


def unrecognised(error: Unrecognised) -> Problem:
    """The problem of a caller whose credential could not be judged, or gives it nothing here."""
    match error:
        case CrossSite():
            return problem("cross_site")
        case ConfirmFirst():
            return problem("confirm")
        case ProviderRefusal():
            return problem(error.code, error.explanation)
        case TwoCredentials() | KeyInUrl():
            return problem("bad_request", error.text)
        case AccountsUnavailable():
            return problem(error.code)
        case Throttled():
            return problem("too_many_attempts", retry_after_s=error.retry_after_s)
