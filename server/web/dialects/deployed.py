"""A dialect as a deployment of an endpoint speaks it: every answer names the deployment, as Azure's do."""

from __future__ import annotations

from collections.abc import Mapping

from server.web.dialects.dialect import Asked, Dialect, Extended
from server.web.problems import Answer, Problem
from server.wire.frames import Result
from server.wire.snapshot import Entry

DEPLOYMENT = b"azureml-model-deployment"
"""The header that names a deployment: the one that a request wants, and the one that has answered."""


class Deployed:
    """See the module. What it wraps costs nothing more where there is no endpoint."""

    def __init__(self, dialect: Dialect, deployment: str) -> None:
        self.name = dialect.name
        self._dialect = dialect
        self._header = (DEPLOYMENT, deployment.encode())
        self._line = b"%b: %b\r\n" % self._header

    @property
    def extended(self) -> Extended | None:
        """As the dialect itself; a contract that has more names the deployment in its own place."""
        return self._dialect.extended

    def mounts(self, entry: Entry) -> Mapping[str, bool]:
        """As the dialect itself."""
        return self._dialect.mounts(entry)

    def leads(self, path: str) -> bool:
        """As the dialect itself."""
        return self._dialect.leads(path)

    def owns(self, path: str) -> bool:
        """As the dialect itself."""
        return self._dialect.owns(path)

    def negotiated(self, headers: Mapping[bytes, bytes], entry: Entry) -> Asked:
        """As the dialect itself."""
        return self._dialect.negotiated(headers, entry)

    def content_lines(self, accept: int, result: Result) -> bytes:
        """The dialect's lines, and the deployment."""
        lines = self._dialect.content_lines(accept, result)
        return lines + self._line if self._dialect.extended is None else lines

    def refusal(self, problem: Problem, request_id: str) -> Answer:
        """The dialect's answer, and the deployment."""
        status, headers, body = self._dialect.refusal(problem, request_id)
        return status, [*headers, self._header], body
