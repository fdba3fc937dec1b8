"""One HTTP connection that costs next to nothing: a request's bytes out, a reply's bytes in, its times beside it."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

TIMING = re.compile(rb"(\w+);dur=([\d.]+)")


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, how long it took, and what the server says of that time (Server-Timing, in seconds)."""

    status: int
    head: bytes
    body: bytes
    seconds: float

    @property
    def times_s(self) -> dict[str, float]:
        line = re.search(rb"(?im)^server-timing: (.*)$", self.head)
        return {name.decode(): float(ms) / 1e3 for name, ms in TIMING.findall(line[1])} if line else {}


class Connection:
    """A kept-alive connection to a server on this machine."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self._host = f"127.0.0.1:{port}"
        self._token = token
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._socket.close()

    def get(self, path: str) -> Reply:
        return self.send(self.getting(path))

    def getting(self, path: str) -> bytes:
        """The bytes of a request without a body."""
        return self._head("GET", path)

    def post(self, path: str, body: bytes) -> Reply:
        return self.send(self.posting(path, body))

    def posting(
        self, path: str, body: bytes, content_type: str = "application/json", headers: Sequence[str] = ()
    ) -> bytes:
        """The bytes of a request, to be made once and sent often. `headers` are more lines of its head."""
        more = f"content-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
        more += "".join(f"{line}\r\n" for line in headers)
        return self._head("POST", path, more) + body

    def send(self, request: bytes) -> Reply:
        """Send a request as it is and read the reply, which must have a length or no body."""
        started = time.perf_counter()
        self._socket.sendall(request)
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._some()
        head = bytes(data[: end + 2])
        length = re.search(rb"(?im)^content-length: (\d+)", head)
        assert length is not None or b" 204 " in head
        size = end + 4 + (int(length[1]) if length is not None else 0)
        while len(data) < size:
            data += self._some()
        seconds = time.perf_counter() - started
        return Reply(int(head.split(b" ", 2)[1]), head, bytes(data[end + 4 :]), seconds)

    def _head(self, method: str, path: str, more: str = "") -> bytes:
        bearer = f"authorization: Bearer {self._token}\r\n" if self._token else ""
        return f"{method} {path} HTTP/1.1\r\nhost: {self._host}\r\n{bearer}{more}\r\n".encode()

    def _some(self) -> bytes:
        data = self._socket.recv(1 << 20)
        if not data:
            raise ConnectionError("the server hung up")
        return data
