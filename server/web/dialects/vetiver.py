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
"""Where vetiver has another status than ours."""
OF_THE_MODEL: frozenset[Code] = frozenset(
    (
        *("invalid_input", "bad_body", "model_failed", "worker_crashed", "crashes_too_often"),
        *("queue_full", "overloaded", "no_worker", "deadline_exceeded"),
    )
)
"""What only those are told who may ask the model. The form of all else must not tell strangers of which kind it is."""

_PATH = re.compile(r"/endpoints/[^/]+(/versions/[^/]+)?/predict")
_OWN = re.compile(r"/endpoints/[^/]+(/versions/[^/]+)?/(predict|metadata|prototype|openapi\.json|pin-url)")


class Vetiver:
    """See the module; this is R's half. The body is JSON whatever its Content-Type says: the clients send none."""

    name = "vetiver"
    extended = None

    def mounts(self, entry: Entry) -> Mapping[str, bool]:
        """The paths of a model of R, and that of the version; and of an endpoint, which stands for many models."""
        return _paths(entry) if entry.runtime in ("r", "") else {}

    def leads(self, path: str) -> bool:
        """Whether the path is that of a model, known or not."""
        return _PATH.fullmatch(path) is not None

    def owns(self, path: str) -> bool:
        """Scoring, and what vetiver tells of a model."""
        return _OWN.fullmatch(path) is not None

    def negotiated(self, headers: Mapping[bytes, bytes], entry: Entry) -> Asked:
        """How the body is compressed. The model's language decides what a reply is like."""
        encoding = ENCODINGS.get(headers.get(b"content-encoding", b"identity").lower())
        if encoding is None:
            raise ProblemError(problem("unsupported_encoding"))
        form = BodyFormat.VETIVER if entry.runtime == "r" else BodyFormat.VETIVER_PYTHON
        return Asked(form, form, encoding)

    def content_lines(self, accept: int, result: Result) -> bytes:
        """JSON, and the warnings."""
        return b"content-type: application/json\r\n" + (warning_line(result.notes) if result.notes else b"")

    def refusal(self, problem: Problem, request_id: str) -> Answer:
        """An object with `error`, by which R's client knows it, and the `message` that it shows."""
        status = _status(problem)
        document = {
            "error": f"{status} - {problem.code}",
            "message": in_one_text(problem),
            "code": problem.code,
            "request_id": request_id,
        }
        return answered(problem, status, document, request_id)


class VetiverPython(Vetiver):
    """The half of Python's vetiver, for every model of another language than R."""

    def mounts(self, entry: Entry) -> Mapping[str, bool]:
        """The paths of any other model, and that of the version."""
        return {} if entry.runtime in ("r", "") else _paths(entry)

    def leads(self, path: str) -> bool:
        """No path of an unknown model: those are the other half's."""
        return False

    def owns(self, path: str) -> bool:
        """No path without a model."""
        return False

    def refusal(self, problem: Problem, request_id: str) -> Answer:
        """A plain text, which Python's client raises."""
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
