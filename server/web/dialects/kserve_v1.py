"""KServe's first protocol: `POST /v1/models/{model}:predict`, beside Tandem's own routes of the same model."""

from __future__ import annotations

import re
from collections.abc import Mapping

from server.web.dialects.dialect import ENCODINGS, Asked
from server.web.dialects.errors import with_error
from server.web.dialects.warnings import warning_line
from server.web.problems import Answer, Problem, ProblemError, problem
from server.wire.frames import BodyFormat, Result
from server.wire.snapshot import Entry

_PATH = re.compile(r"/v1/models/[^/]+:predict")
_VERB = re.compile(r"/v1/models/[^/]+:[a-z]+")


class KServeV1:
    """KServe's first protocol. A body is JSON whatever its Content-Type says, as KServe has it."""

    name = "kserve_v1"
    extended = None

    def mounts(self, entry: Entry) -> Mapping[str, bool]:
        """The path of the model. The protocol has no versions."""
        return {f"/v1/models/{entry.name}:predict": False} if entry.current else {}

    def leads(self, path: str) -> bool:
        """Whether a path is that of a model, known or not."""
        return _PATH.fullmatch(path) is not None

    def owns(self, path: str) -> bool:
        """Whether a path ends in one of the protocol's verbs, of which Tandem has one."""
        return _VERB.fullmatch(path) is not None

    def negotiated(self, headers: Mapping[bytes, bytes], entry: Entry) -> Asked:
        """How the body is compressed. Its form is always JSON."""
        encoding = ENCODINGS.get(headers.get(b"content-encoding", b"identity").lower())
        if encoding is None:
            raise ProblemError(problem("unsupported_encoding"))
        return Asked(BodyFormat.KSERVE_V1, BodyFormat.KSERVE_V1, encoding)

    def content_lines(self, accept: int, result: Result) -> bytes:
        """The lines for JSON, and for warnings."""
        return b"content-type: application/json\r\n" + (warning_line(result.notes) if result.notes else b"")

    def refusal(self, problem: Problem, request_id: str) -> Answer:
        """The answer to a request that went wrong: an object whose `error` is a text."""
        return with_error(problem, request_id)


KSERVE_V1 = KServeV1()
