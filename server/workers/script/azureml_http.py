"""What Azure's packages give scoring scripts: the request as it came, and a response of the script's own making.

A script gets it by Azure's names (`provided.py`). Werkzeug, which Azure's own classes come from, reads forms and writes
headers; it is imported here alone, where a script has asked for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, TypeVar

from werkzeug.wrappers import Request, Response

from server.wire.heads import RequestHead

Run = TypeVar("Run", bound=Callable[..., Any])

_rawHttpRequested = False


def rawhttp(function: Run) -> Run:
    """Have run() be given the request itself."""
    global _rawHttpRequested
    _rawHttpRequested = True
    return function


class AMLRequest(Request):
    """The request, as run() gets it with @rawhttp."""


class AMLResponse(Response):
    """A response with its status, headers and body, as run() may return it."""

    default_mimetype = "text/html"

    def __init__(
        self,
        message: Any,
        status_code: int,
        response_headers: Mapping[str, str] | None = None,
        json_str: bool = False,
        run_function_failed: bool = False,
    ) -> None:
        given = response_headers or {}
        if message is None or json_str:
            text = json.dumps({} if message is None else message)
            super().__init__(text, status=status_code, mimetype="application/json")
        else:
            super().__init__(message, status=status_code)
            if "Content-Type" in given:
                del self.headers["Content-Type"]
        self.headers["x-ms-run-function-failed"] = str(run_function_failed)
        for name, values in given.items():
            for value in values.split(","):
                self.headers.add(name, value.strip())


def request_of(head: RequestHead, body: bytes) -> AMLRequest:
    """A request as Azure's server shows it: its path is always /score."""
    others = {name: value for name, value in head.headers.items() if name not in ("content-type", "content-length")}
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in others.items()}
    environ: dict[str, Any] = headers | {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": "/score",
        "QUERY_STRING": head.query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": head.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
    }
    return AMLRequest(environ)
