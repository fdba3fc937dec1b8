"""The head of a request: what it may hold, and how its address is read. It has one reading only."""

from __future__ import annotations

import re
from urllib.parse import unquote

import httptools

from server.web.problems import Code

MAX_HEAD_BYTES = 64 << 10
MAX_HEADERS = 100
ONCE = (
    *(b"host", b"authorization", b"api-key", b"x-api-key", b"ocp-apim-subscription-key"),
    *(b"content-type", b"content-encoding", b"content-length", b"transfer-encoding"),
)
"""Headers whose repetition two readers could understand in two ways."""
FORWARDED = b"x-forwarded-for"
MALFORMED = "This is not a request in valid HTTP/1.1."
_ENCODED_SLASH = re.compile("%2f|%5c", re.IGNORECASE)


class HeadRefused(Exception):
    """The request is not read any further and gets this answer."""

    def __init__(self, code: Code, detail: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


def check(
    parser: httptools.HttpRequestParser, url: bytes, headers: list[tuple[bytes, bytes]], received_bytes: int
) -> dict[bytes, bytes]:
    """The headers by name; the head has at most so many bytes as were received.

    Raises HeadRefused where they are too large or leave room for a second reading.
    """
    version = parser.get_http_version()
    by_name = dict(headers)
    if len(by_name) != len(headers):
        names = [name for name, _ in headers]
        if any(names.count(name) > 1 for name in ONCE):
            raise HeadRefused("bad_request", MALFORMED)
        if names.count(FORWARDED) > 1:  # each proxy may have added a line; together they are one list
            by_name[FORWARDED] = b", ".join(value for name, value in headers if name == FORWARDED)
    if version != "1.1":
        if version != "1.0" or b"transfer-encoding" in by_name:
            raise HeadRefused("bad_request", MALFORMED)
    elif b"host" not in by_name or by_name.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        raise HeadRefused("bad_request", MALFORMED)
    if parser.should_upgrade() and (version != "1.1" or parser.get_method() == b"CONNECT"):
        raise HeadRefused("bad_request", MALFORMED)
    if received_bytes > MAX_HEAD_BYTES:
        size = len(url) + sum(len(name) + len(value) + 4 for name, value in headers)
        if size > MAX_HEAD_BYTES:
            raise HeadRefused("headers_too_large")
    return by_name


def split(url: bytes) -> tuple[str, bytes, bytes]:
    """The path, the path as it was written, and the query of a request's address."""
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    # An encoded slash stays as it is and leads nowhere: whoever guards paths in front of us may read another one.
    if "%" in path and not _ENCODED_SLASH.search(path):
        path = unquote(path)
    return path, parsed.path, parsed.query or b""
