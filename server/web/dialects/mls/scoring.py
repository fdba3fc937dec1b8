"""Scoring as Machine Learning Server has it: `POST /api/{service}/{version}`. A service is a version of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping

from server.web.dialects.dialect import ENCODINGS, Asked
from server.web.dialects.errors import answered, in_one_text
from server.web.problems import Answer, Problem, ProblemError, problem
from server.wire.frames import BodyFormat, Result
from server.wire.snapshot import Entry

STATUSES = {"invalid_input": 400}
"""Where Machine Learning Server has another status than ours."""
NO_SERVICE = "2.0"
"""A name that no service has: what lies below it belongs to MLflow (`/api/2.0/endpoints`)."""

_PATH = re.compile(r"/api/(?!2\.0/)[^/]+/[^/]+")
_OWNED = re.compile(r"/(login|services|sessions|snapshots|computenodes|realtime-services|api/(?!2\.0(/|$))[^/]+)(/.*)?")


class MachineLearningServer:
    """The scoring routes of Machine Learning Server, and its form of errors on its other routes."""

    name = "mls"
    extended = None

    def mounts(self, entry: Entry) -> Mapping[str, bool]:
        """The path of the model's version; there is none without a version."""
        return {} if entry.name == NO_SERVICE else {f"/api/{entry.name}/{entry.version}": True}

    def leads(self, path: str) -> bool:
        """Whether the path is that of a service, known or not."""
        return _PATH.fullmatch(path) is not None

    def owns(self, path: str) -> bool:
        """Whether the path is one of Machine Learning Server's."""
        return path == "/status" or _OWNED.fullmatch(path) is not None

    def negotiated(self, headers: Mapping[bytes, bytes], entry: Entry) -> Asked:
        """The body is JSON. The codec is told what the service calls its output, where its sidecar says so."""
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
            raise ProblemError(problem("unsupported_media_type", "Send the body as application/json."))
        encoding = ENCODINGS.get(headers.get(b"content-encoding", b"identity").lower())
        if encoding is None:
            raise ProblemError(problem("unsupported_encoding"))
        return Asked(BodyFormat.MLS, BodyFormat.MLS, encoding, output_name(entry).encode())

    def content_lines(self, accept: int, result: Result) -> bytes:
        """JSON; the body has a place for warnings."""
        return b"content-type: application/json\r\n"

    def refusal(self, problem: Problem, request_id: str) -> Answer:
        """An object whose `message` is a text and whose `exceptionType` is our code."""
        document = {"message": in_one_text(problem), "link": "", "exceptionType": problem.code}
        return answered(problem, STATUSES.get(problem.code, problem.status), document, request_id)


MLS = MachineLearningServer()


def output_name(entry: Entry) -> str:
    """What the service calls its output by its sidecar; empty where that does not say."""
    return str((entry.service or {}).get("output") or "")
