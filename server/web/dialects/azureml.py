"""Azure ML's `/score` below an endpoint, which scoring services older than Azure's have too.

What differs from the other contracts: requests and answers carry ids in headers of Azure's, a header may name the
version, and an error is an object with a `message` alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from auth.credentials.credential import SECRET_HEADERS
from server.web.dialects.dialect import ENCODINGS, Asked, Head
from server.web.dialects.errors import answered, in_one_text
from server.web.dialects.warnings import warning_line
from server.web.json_schema import is_raw
from server.web.problems import Answer, Problem, ProblemError, problem
from server.wire.frames import BodyFormat, Result
from server.wire.heads import MAX_REQUEST_BYTES, read_reply, written_request
from server.wire.snapshot import Entry

STATUSES: Mapping[str, int] = {"invalid_input": 400, "deadline_exceeded": 500}
"""Where Azure's server has another status than ours."""
MAX_ID_CHARS = 100
LONG_REQUEST_ID = f"x-request-id must not exceed {MAX_ID_CHARS} characters"
LONG_CLIENT_ID = f"x-ms-request-id and x-ms-client-request-id must not exceed {MAX_ID_CHARS} characters"
DEPLOYMENT = b"azureml-model-deployment"
JSON_TYPES = (b"", b"application/json", b"application/x-www-form-urlencoded")
"""The second is what a caller says, the first and the last what clients say that were not told."""

_PATH = re.compile(r"/endpoints/[^/]+(/versions/[^/]+)?/score")
_UNPINNED = re.compile(r"/endpoints/[^/]+/score")
_FIT = re.compile(rb"[ -~]*")
_UNSEEN = SECRET_HEADERS | {b"content-encoding"}
"""What a script is not told of a request: its credentials, and how the body came, which it gets inflated."""
_SANDBOXED = b"content-security-policy: sandbox\r\n"
"""A page that a script has made must not act in a browser as one of ours."""


class AzureMl:
    """See the module."""

    name = "azureml"

    @property
    def extended(self) -> AzureMl:
        """Itself."""
        return self

    # Every dialect

    def mounts(self, entry: Entry) -> Mapping[str, bool]:
        """The model's path, and that of the version."""
        pinned = {f"/endpoints/{entry.name}/versions/{entry.version}/score": True}
        return pinned | {f"/endpoints/{entry.name}/score": False} if entry.current else pinned

    def leads(self, path: str) -> bool:
        """Whether the path is that of a model, known or not."""
        return _PATH.fullmatch(path) is not None

    def owns(self, path: str) -> bool:
        """Everything below an endpoint that no other dialect has."""
        return path.startswith("/endpoints/")

    def negotiated(self, headers: Mapping[bytes, bytes], entry: Entry) -> Asked:
        """How the body is compressed; a script takes any text, and a model file JSON."""
        check_ids(headers)
        media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if media_type not in JSON_TYPES and not is_raw(entry):
            raise ProblemError(problem("unsupported_media_type", "Send the body as application/json."))
        encoding = ENCODINGS.get(headers.get(b"content-encoding", b"identity").lower())
        if encoding is None:
            raise ProblemError(problem("unsupported_encoding"))
        return Asked(BodyFormat.AZUREML, BodyFormat.AZUREML, encoding)

    def content_lines(self, accept: int, result: Result) -> bytes:
        """JSON, and the warnings."""
        return b"content-type: application/json\r\n" + (warning_line(result.notes) if result.notes else b"")

    def refusal(self, problem: Problem, request_id: str) -> Answer:
        """An object with a message and nothing else; whether the model has failed is told by headers."""
        status = STATUSES.get(problem.code, problem.status)
        _, headers, body = answered(problem, status, {"message": in_one_text(problem)}, request_id)
        if problem.code in ("model_failed", "worker_crashed", "deadline_exceeded"):
            headers.append((b"x-ms-run-function-failed", b"True"))
            headers.append((b"ms-azureml-model-error-statuscode", b"%d" % status))
            headers.append((b"ms-azureml-model-error-reason", b"model_error"))
        else:
            headers.append((b"x-ms-run-function-failed", b"False"))
        if problem.detail == LONG_REQUEST_ID:
            headers = [pair for pair in headers if pair[0] != b"x-request-id"]
        return status, headers, body

    # What is Azure's own

    def path(self, asking: Head) -> str:
        """The path of the version that a header names."""
        version = asking.headers.get(DEPLOYMENT)
        if version is None or not _UNPINNED.fullmatch(asking.path):
            return asking.path
        return f"{asking.path.removesuffix('/score')}/versions/{version.decode('latin-1')}/score"

    def methods(self, entry: Entry) -> Sequence[str]:
        """A model file takes a body; a script may be asked by a query, too."""
        return ("GET", "POST", "OPTIONS") if is_raw(entry) else ("POST", "OPTIONS")

    def at_once(self, asking: Head, entry: Entry) -> Answer | None:
        """An empty answer to OPTIONS. A script may have one of its own."""
        if asking.method != b"OPTIONS" or is_raw(entry):
            return None
        check_ids(asking.headers)
        return 200, [(b"content-length", b"0"), (b"x-ms-run-function-failed", b"False")], b""

    def parameters(self, asking: Head, entry: Entry) -> bytes:
        """The query, in which a model's options may stand; a script gets the whole head. Raises ProblemError."""
        if not is_raw(entry):
            return asking.query
        seen = (pair for pair in asking.headers.items() if pair[0] not in _UNSEEN)
        head = written_request(asking.method, asking.query, seen)
        if len(head) > MAX_REQUEST_BYTES:
            raise ProblemError(problem("headers_too_large"))
        return head

    def answered(self, result: Result, entry: Entry, predict_s: float) -> tuple[int, bytes]:
        """Which version has answered, and how long it took; of a script, what it says itself. Raises WireError."""
        if is_raw(entry):
            status, lines = read_reply(result.notes, len(result.body))
            lines += _SANDBOXED
        else:
            failed = b"x-ms-run-function-failed: False\r\nx-ms-run-fn-exec-ms: %.3f\r\n" % (predict_s * 1e3)
            status, lines = 200, self.content_lines(BodyFormat.AZUREML, result) + failed
        return status, lines + b"%b: %b\r\n" % (DEPLOYMENT, entry.version.encode())

    def in_own_words(self, problem: Problem, timeout_s: float) -> Problem:
        """What Azure's server says of a time that has run out."""
        if problem.code == "deadline_exceeded":
            return replace(problem, detail=f"Scoring timeout after {timeout_s * 1e3:.0f} ms")
        return problem

    def echoed(self, headers: Mapping[bytes, bytes], request_id: str) -> bytes:
        """The ids of the request by all their names. One that is too long is refused, and takes the others with it."""
        lines = b""
        if not _too_long(headers):
            legacy, client = (headers.get(name, b"") for name in (b"x-ms-request-id", b"x-ms-client-request-id"))
            lines += _line(b"x-ms-request-id", legacy or client or request_id.encode())
            lines += _line(b"x-ms-client-request-id", client or legacy)
        return lines + _line(b"traceid", headers.get(b"traceid", b""))


AZUREML = AzureMl()


def check_ids(headers: Mapping[bytes, bytes]) -> None:
    """Refuse ids that are too long. Raises ProblemError."""
    told = _too_long(headers)
    if told:
        raise ProblemError(problem("headers_too_large", told))


def _too_long(headers: Mapping[bytes, bytes]) -> str:
    if len(headers.get(b"x-request-id", b"")) > MAX_ID_CHARS:
        return LONG_REQUEST_ID
    clients = (headers.get(name, b"") for name in (b"x-ms-request-id", b"x-ms-client-request-id"))
    return LONG_CLIENT_ID if any(len(given) > MAX_ID_CHARS for given in clients) else ""


def _line(name: bytes, value: bytes) -> bytes:
    return b"%b: %b\r\n" % (name, value) if value and _FIT.fullmatch(value) else b""
