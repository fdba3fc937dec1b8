"""What every dialect's headers may say alike: how long a request may take."""

from __future__ import annotations

import re
from collections.abc import Mapping

from server.web.problems import ProblemError, problem
from server.web.scoring.target import Target

_MILLISECONDS = re.compile(rb"[1-9][0-9]{0,9}")


def timeout_s(headers: Mapping[bytes, bytes], target: Target) -> float:
    """How long this request may take: what its sender says, at most what the model is given."""
    said = headers.get(b"x-request-timeout-ms")
    if said is not None and not _MILLISECONDS.fullmatch(said):
        raise ProblemError(
            problem("bad_request", "X-Request-Timeout-Ms is a whole number of milliseconds, at least 1.")
        )
    if said is None:  # what Envoy and Istio tell of the time that they will wait
        said = headers.get(b"x-envoy-expected-rq-timeout-ms")
        if said is None or not _MILLISECONDS.fullmatch(said):
            return target.timeout_s
    return min(int(said) / 1000, target.timeout_s)
