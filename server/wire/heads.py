"""Heads of HTTP that cross to a scoring script and back.

Azure's contract shows a script the headers of its request, and has it choose the status and headers of its reply. The
form is that of HTTP itself: one line, then a line for each header, each with CRLF at its end. Whoever reads a reply's
head believes nothing of it: a script may speak for its worker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from server.wire.frames import WireError

MAX_REQUEST_BYTES = (1 << 16) - 1
"""What a frame holds of a request beside its body."""

RESERVED = (
    *("connection", "content-length", "date", "expect", "keep-alive", "server", "te", "trailer", "transfer-encoding"),
    *("upgrade", "www-authenticate", "proxy-authenticate", "set-cookie", "clear-site-data", "cache-control"),
    *("content-security-policy", "strict-transport-security", "x-content-type-options", "server-timing"),
    *("x-request-id", "x-ms-request-id", "x-ms-client-request-id", "traceid", "x-tandem-code", "x-tandem-warnings"),
    "azureml-model-deployment",
)
"""Headers that a script does not set: the server's own, and those that mean its whole address to a browser."""

_NAME = r"[!#$%&'*+.^_`|~0-9a-z-]+"
_VALUE = r"[\t -~\x80-\xff]*"
_LINE = re.compile(rf"(?!(?:{'|'.join(RESERVED)}):){_NAME}: {_VALUE}\r\n")
_REPLY = re.compile(rb"([2-5][0-9]{2})\r\n((?:%b)*)" % _LINE.pattern.encode("latin-1"))
_BODILESS = (b"204", b"205", b"304")


class RequestHead(NamedTuple):
    """A request as a script may see it: its method, its query and its headers by name in lower case."""

    method: str = "POST"
    query: str = ""
    headers: Mapping[str, str] = {}


def written_request(method: bytes, query: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A request's head in bytes. The parts come from a request that was read, so no line ends within them."""
    return b"%b %b\r\n%b" % (method, query, b"".join(b"%b: %b\r\n" % pair for pair in headers))


def read_request(text: bytes) -> RequestHead:
    """The head of a request; that of a plain POST where nothing was written."""
    if not text:
        return RequestHead()
    first, *lines = text.decode("latin-1").split("\r\n")
    method, _, query = first.partition(" ")
    named = (line.partition(": ") for line in lines if line)
    return RequestHead(method, query, {name: value for name, _, value in named})


def written_reply(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """A reply's head in bytes, without the headers that no script sets. Raises ValueError for what is no head."""
    lines = [f"{name.lower()}: {value}\r\n" for name, value in headers if name.lower() not in RESERVED]
    unfit = next((line for line in lines if not _LINE.fullmatch(line)), None)
    if unfit is not None or not 200 <= status <= 599:
        raise ValueError("the status is none, or a header has a name or a value that HTTP cannot hold")
    return b"%d\r\n%b" % (status, "".join(lines).encode("latin-1"))


def read_reply(text: bytes, body_bytes: int) -> tuple[int, bytes]:
    """Status and header lines of a reply's head. Raises WireError where it is none, or cannot have such a body."""
    head = _REPLY.fullmatch(text)
    if head is None or (body_bytes and head[1] in _BODILESS):
        raise WireError("the head of a script's reply is none")
    return int(head[1]), head[2]


def is_bodiless(status: int) -> bool:
    """Whether a reply with this status has no body."""
    return b"%d" % status in _BODILESS
