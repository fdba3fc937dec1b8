"""Vetiver's scoring: `/endpoints/{model}/predict`, as R's vetiver answers for models of R, Python's for others."""

from __future__ import annotations

import re
from collections.abc import Mapping

from server.web.dialects.dialect import ENCODINGS, Asked
from server.web.dialects.errors import answered, answered_in_text, in_one_text
from server.web.dialects.warnings import warning_line
from server.web.problems import Answer, Code, Problem, ProblemError, problem
from server.wire.frames import BodyFormat, Result
from server.wire.snapshot import Entry

STATUSES: Mapping[str, int] = {"bad_body": 422}
"""Statuses that vetiver has in place of ours."""
OF_THE_MODEL: frozenset[Code] = frozenset(
    (
        *("invalid_input", "bad_body", "model_failed", "worker_crashed", "crashes_too_often"),
        *("queue_full", "overloaded", "no_worker", "deadline_exceeded"),
    )
)
"""Codes whose text only callers who may ask the model are given: the form must not tell others the model's language."""

_PATH = re.compile(r"/endpoints/[^/]+(/versions/[^/]+)?/predict")
_OWN = re.compile(r"/endpoints/[^/]+(/versions/[^/]+)?/(predict|metadata|prototype|openapi\.json|pin-url)")


class Vetiver:
    """The half of R's vetiver. A body is JSON whatever its Content-Type says: R's clients send none."""

    name = "vetiver"
    extended = None

    def mounts(self, entry: Entry) -> Mapping[str, bool]:
        """The paths of a model of R and of its version, and of an endpoint, which stands for many models."""
        return _paths(entry) if entry.runtime in ("r", "") else {}

    def leads(self, path: str) -> bool:
        """Whether a path is that of a model, known or not."""
        return _PATH.fullmatch(path) is not None

    def owns(self, path: str) -> bool:
        """Whether a path is one of vetiver's: scoring, or what it tells of a model."""
        return _OWN.fullmatch(path) is not None

    def negotiated(self, headers: Mapping[bytes, bytes], entry: Entry) -> Asked:
        """How the body is compressed. The model's language decides the form of a reply."""
        encoding = ENCODINGS.get(headers.get(b"content-encoding", b"identity").lower())
        if encoding is None:
            raise ProblemError(problem("unsupported_encoding"))
        form = BodyFormat.VETIVER if entry.runtime == "r" else BodyFormat.VETIVER_PYTHON
        return Asked(form, form, encoding)

    def content_lines(self, accept: int, result: Result) -> bytes:
        """The lines for JSON, and for warnings."""
        return b"content-type: application/json\r\n" + (warning_line(result.notes) if result.notes else b"")

    def refusal(self, problem: Problem, request_id: str) -> Answer:
        """The answer to a request that went wrong. By `error` R's client knows it, and it shows the `message`."""
        status = _status(problem)
        document = {
            "error": f"{status} - {problem.code}",
            "message": in_one_text(problem),
            "code": problem.code,
            "request_id": request_id,
        }
        return answered(problem, status, document, request_id)


class VetiverPython(Vetiver):
    """The half of Python's vetiver, for models of any other language than R."""

    def mounts(self, entry: Entry) -> Mapping[str, bool]:
        """The paths of any other model, and those of its version."""
        return {} if entry.runtime in ("r", "") else _paths(entry)

    def leads(self, path: str) -> bool:
        """False: the paths of unknown models are those of the other half."""
        return False

    def owns(self, path: str) -> bool:
        """False: paths without a model are those of the other half."""
        return False

    def refusal(self, problem: Problem, request_id: str) -> Answer:
        """The answer to a request that went wrong: a plain text, which Python's client raises."""
        if problem.code not in OF_THE_MODEL:
            return super().refusal(problem, request_id)
        return answered_in_text(problem, _status(problem), request_id)


VETIVER, VETIVER_PYTHON = Vetiver(), VetiverPython()


def _paths(entry: Entry) -> dict[str, bool]:
    path = f"/endpoints/{entry.name}"
    pinned = {f"{path}/versions/{entry.version}/predict": True}
    return pinned | {f"{path}/predict": False} if entry.current else pinned


def _status(problem: Problem) -> int:
    return STATUSES.get(problem.code, problem.status)
