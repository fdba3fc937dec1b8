"""Whatever the scoring route fails with, as a problem document; and what is logged and counted of it by the way."""

from __future__ import annotations

import logging
from typing import Protocol

from auth.errors import OverLimit, Unauthenticated
from server.dispatch.dispatcher import Refused
from server.metrics import WebMetrics
from server.web import outcomes
from server.web.problems import Problem, ProblemError, problem
from server.web.scoring.incoming import TooLarge

log = logging.getLogger(__name__)


class Route(Protocol):
    """What a failure is told with."""

    metrics: WebMetrics

    def too_large(self) -> Problem:
        """The answer to a body that is too large."""


def problem_of(error: BaseException, request_id: str, route: Route) -> Problem:
    """The answer to a request that this ended."""
    match error:
        case ProblemError():
            return error.problem
        case Refused():
            return outcomes.refused(error)
        case Unauthenticated():
            log.info("refused", extra={"request_id": request_id, "reason": error.reason})
            return problem("unauthenticated")
        case OverLimit():
            route.metrics.limited(error.limit, error.code)
            return outcomes.over_limit(error)
        case TooLarge():
            return route.too_large()
        case _ if isinstance(error, outcomes.Unrecognised):
            return outcomes.unrecognised(error)
    log.error("the scoring route failed", exc_info=error, extra={"request_id": request_id})
    return problem("internal_error")
