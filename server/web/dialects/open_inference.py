"""The Open Inference Protocol, version 2 (KServe's, Triton's): `/v2/models/{model}/infer`, and its other routes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from server.web.dialects.dialect import ENCODINGS, Asked
from server.web.dialects.errors import with_error
from server.web.problems import Answer, Problem, ProblemError, problem
from server.wire.frames import BodyFormat, Result
from server.wire.snapshot import Entry

_PATH = re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?/infer")
_LENGTH = re.compile(rb"[0-9]{1,10}")


class OpenInference:
    """The Open Inference Protocol. A body says itself what it is, so its Content-Type is not looked at."""

    name = "open_inference"
    extended = None

    def mounts(self, entry: Entry) -> Mapping[str, bool]:
        """The path of the model, and that of its version."""
        path = f"/v2/models/{entry.name}"
        pinned = {f"{path}/versions/{entry.version}/infer": True}
        return pinned | {f"{path}/infer": False} if entry.current else pinned

    def leads(self, path: str) -> bool:
        """Whether a path is that of a model, known or not."""
        return _PATH.fullmatch(path) is not None

    def owns(self, path: str) -> bool:
        """Whether a path is `/v2` or below it."""
        return path == "/v2" or path.startswith("/v2/")

    def negotiated(self, headers: Mapping[bytes, bytes], entry: Entry) -> Asked:
        """How the body is compressed, and how long its JSON head is where bytes follow it."""
        length = headers.get(b"inference-header-content-length", b"")
        if length and not _LENGTH.fullmatch(length):
            raise ProblemError(problem("bad_request", "Inference-Header-Content-Length is a number of bytes."))
        encoding = ENCODINGS.get(headers.get(b"content-encoding", b"identity").lower())
        if encoding is None:
            raise ProblemError(problem("unsupported_encoding"))
        return Asked(BodyFormat.OPEN_INFERENCE, BodyFormat.OPEN_INFERENCE, encoding, length)

    def content_lines(self, accept: int, result: Result) -> bytes:
        """The lines for JSON, or for bytes behind a JSON head whose length a header tells."""
        if result.notes:
            if not result.notes.isdigit():  # a model may speak for its worker, and this becomes a header
                raise ValueError("the length of a reply's head is no number")
            return b"content-type: application/octet-stream\r\ninference-header-content-length: %b\r\n" % result.notes
        return b"content-type: application/json\r\n"

    def refusal(self, problem: Problem, request_id: str) -> Answer:
        """The answer to a request that went wrong: an object whose `error` is a text, with details beside it."""
        return with_error(problem, request_id)


OPEN_INFERENCE = OpenInference()
