"""MLflow's scoring protocol: `/endpoints/{model}/invocations`, where MLflow's deployments client looks for it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from server.web.dialects.dialect import ENCODINGS, Asked
from server.web.dialects.errors import answered, in_one_text
from server.web.dialects.warnings import warning_line
from server.web.problems import Answer, Code, Problem, ProblemError, problem
from server.wire.frames import BodyFormat, Result
from server.wire.snapshot import Entry

STATUSES: Mapping[str, int] = {"invalid_input": 400}
"""Statuses that MLflow has in place of ours."""
ERROR_CODES: Mapping[Code, str] = {
    "invalid_input": "INVALID_PARAMETER_VALUE",
    "unauthenticated": "UNAUTHENTICATED",
    "forbidden": "PERMISSION_DENIED",
    "unknown_model": "RESOURCE_DOES_NOT_EXIST",
    "not_found": "RESOURCE_DOES_NOT_EXIST",
    "queue_full": "REQUEST_LIMIT_EXCEEDED",
}
"""MLflow's words for codes of ours. For all others they are those of the status."""
FORMATS = {b"application/json": BodyFormat.MLFLOW, b"text/csv": BodyFormat.CSV}

_PATH = re.compile(r"/(serving-)?endpoints/[^/]+(/versions/[^/]+)?/invocations")
_OWN = re.compile(
    r"/serving-endpoints/.*|/api/2\.0/endpoints(/.*)?|/endpoints/[^/]+/(versions/[^/]+/)?(invocations|ping|health|version)"
)
_CHARSET = re.compile(rb';\s*charset\s*=\s*"?([^";\s]+)', re.IGNORECASE)


class Mlflow:
    """MLflow's scoring protocol. `/serving-endpoints` is Databricks' name for the same path."""

    name = "mlflow"
    extended = None

    def mounts(self, entry: Entry) -> Mapping[str, bool]:
        """The paths of the model, and those of its version."""
        paths = {f"/endpoints/{entry.name}/versions/{entry.version}/invocations": True}
        if entry.current:
            paths |= {f"/{root}/{entry.name}/invocations": False for root in ("endpoints", "serving-endpoints")}
        return paths

    def leads(self, path: str) -> bool:
        """Whether a path is that of a model, known or not."""
        return _PATH.fullmatch(path) is not None

    def owns(self, path: str) -> bool:
        """Whether a path is one that MLflow's server has."""
        return _OWN.fullmatch(path) is not None

    def negotiated(self, headers: Mapping[bytes, bytes], entry: Entry) -> Asked:
        """The form of the body, JSON or CSV in UTF-8. A reply is JSON."""
        content_type = headers.get(b"content-type", b"")
        content = FORMATS.get(content_type.partition(b";")[0].strip().lower())
        charset = _CHARSET.search(content_type)
        if content is None or (charset is not None and charset[1].lower() not in (b"utf-8", b"utf8")):
            raise ProblemError(
                problem("unsupported_media_type", "Send the body as application/json or text/csv, in UTF-8.")
            )
        encoding = ENCODINGS.get(headers.get(b"content-encoding", b"identity").lower())
        if encoding is None:
            raise ProblemError(problem("unsupported_encoding"))
        return Asked(content, BodyFormat.MLFLOW, encoding)

    def content_lines(self, accept: int, result: Result) -> bytes:
        """The lines for JSON, and for warnings."""
        return b"content-type: application/json\r\n" + (warning_line(result.notes) if result.notes else b"")

    def refusal(self, problem: Problem, request_id: str) -> Answer:
        """The answer to a request that went wrong: an object with MLflow's word, a text, and our code beside them."""
        document = {
            "error_code": ERROR_CODES.get(problem.code) or _of_status(problem.status),
            "message": in_one_text(problem),
            "code": problem.code,
            "request_id": request_id,
        }
        return answered(problem, STATUSES.get(problem.code, problem.status), document, request_id)


MLFLOW = Mlflow()


def _of_status(status: int) -> str:
    if status < 500:
        return "BAD_REQUEST"
    return "INTERNAL_ERROR" if status == 500 else "TEMPORARILY_UNAVAILABLE"
