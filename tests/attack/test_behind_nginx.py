"""Whatever a caller sends through a proxy that keeps its connection to Tandem, the next caller gets its own answer."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness.tandem import Tandem, eventually, free_port

pytestmark = pytest.mark.ship

CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 100; }}
http {{
  access_log off; ignore_invalid_headers off; underscores_in_headers on; large_client_header_buffers 4 64k;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream tandem {{ server 127.0.0.1:{upstream}; keepalive 1; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://tandem; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $http_host; proxy_request_buffering off; proxy_buffering off;
    }}
  }}
}}
"""
"""One kept connection for all callers, and every byte of a body sent on as soon as it comes."""
ANOTHER = b"GET /health/live HTTP/1.1\r\nhost: a\r\nx-request-id: smuggled\r\n\r\n"
PATHS = (b"/v1/models/none/score", b"/auth/token")
"""One that is answered from the connection itself, and one by way of ASGI."""
HEADS = {
    "two lengths": b"content-length: 5\r\ncontent-length: 0",
    "lengths in one line": b"content-length: 5, 5",
    "a length with a sign": b"content-length: +5",
    "a length in another base": b"content-length: 0x5",
    "a length with a space": b"content-length: 5 0",
    "a length too large": b"content-length: 99999999999999999999",
    "a length before a colon with a space": b"content-length : 5",
    "a name with an underscore": b"content_length: 5",
    "length and chunked": b"content-length: 5\r\ntransfer-encoding: chunked",
    "chunked and length": b"transfer-encoding: chunked\r\ncontent-length: 5",
    "chunked": b"transfer-encoding: chunked",
    "chunked twice": b"transfer-encoding: chunked\r\ntransfer-encoding: chunked",
    "chunked, identity": b"transfer-encoding: chunked, identity",
    "identity, chunked": b"transfer-encoding: identity, chunked",
    "chunked with a tab": b"transfer-encoding:\tchunked",
    "chunked with a vertical tab": b"transfer-encoding: \x0bchunked",
    "chunked misspelt": b"transfer-encoding: xchunked",
    "chunked in capitals": b"TRANSFER-ENCODING: CHUNKED",
    "chunked with a space before the colon": b"transfer-encoding : chunked",
    "a folded line": b"x: y\r\n transfer-encoding: chunked",
    "a folded coding": b"transfer-encoding:\r\n chunked",
    "a bare line feed": b"x: y\ntransfer-encoding: chunked",
    "a bare carriage return": b"x: y\rtransfer-encoding: chunked",
    "a nul": b"x: y\0\r\ntransfer-encoding: chunked",
    "a line without a name": b": y\r\ntransfer-encoding: chunked",
    "asks to go on": b"expect: 100-continue\r\ncontent-length: 5",
    "asks for something else": b"expect: x\r\ncontent-length: 5",
    "an upgrade": b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 5",
    "names its length to be dropped": b"connection: content-length\r\ncontent-length: 5",
    "names its coding to be dropped": b"connection: transfer-encoding\r\ntransfer-encoding: chunked",
}
BODIES = {
    "a body of five": b"hello",
    "none": b"",
    "an end of chunks": b"0\r\n\r\n",
    "chunks": b"5\r\nhello\r\n0\r\n\r\n",
    "a chunk with an extension": b"5;a=\r\nhello\r\n0\r\n\r\n",
    "a chunk ended by a line feed": b"5\nhello\n0\n\n",
    "a chunk of another base": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk too large": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a trailer": b"0\r\ncontent-length: 9\r\n\r\n",
}
A_REQUEST_AS_A_BODY = b"POST %b HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (PATHS[0], len(ANOTHER), ANOTHER)
LINES = {
    "of HTTP/0.9": b"GET %b\r\n\r\n",
    "of HTTP/1.0": b"POST %b HTTP/1.0\r\nhost: a\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\nhello",
    "of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "of HTTP/1.2": b"GET %b HTTP/1.2\r\nhost: a\r\n\r\n",
    "with two hosts": b"GET %b HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "with a whole address": b"GET http://b%b HTTP/1.1\r\nhost: a\r\n\r\n",
    "with a body to a GET": b"GET %b HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
    "with a line feed in the path": b"GET %b\n HTTP/1.1\r\nhost: a\r\n\r\n",
    "cut in its body": b"POST %b HTTP/1.1\r\nhost: a\r\ncontent-length: 500\r\n\r\nhello",
    "cut in a chunk": b"POST %b HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n50\r\nhello",
}


def _raw() -> Iterator[tuple[str, bytes]]:
    yield "a request as a body", A_REQUEST_AS_A_BODY
    for path in PATHS:
        for head_name, head in HEADS.items():
            for body_name, body in BODIES.items():
                request = b"POST %b HTTP/1.1\r\nhost: a\r\n%b\r\n\r\n%b" % (path, head, body)
                yield f"{head_name}, {body_name}, {path!r}", request + ANOTHER
        for name, line in LINES.items():
            yield f"{name}, {path!r}", (line % path if b"%b" in line else line) + ANOTHER


class Naive(socketserver.BaseRequestHandler):
    """Ends every request with its head, as a server does that does not see the body: the control of this test.

    It answers once for each time that something comes. So what it took for another request is answered to the next
    caller, and not at once, when the proxy might still see an answer too many and close the connection.
    """

    def handle(self) -> None:
        unread = b""
        with contextlib.suppress(ConnectionError):
            while more := self.request.recv(1 << 16):
                head, _, unread = (unread + more).partition(b"\r\n\r\n")
                ids = re.findall(rb"x-request-id:[^\r\n]*\r\n", head + b"\r\n", re.IGNORECASE)
                self.request.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" + b"".join(ids) + b"\r\n")


@contextlib.contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[int]:
    """The port of an nginx before a server."""
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port, upstream=upstream))
    process = subprocess.Popen(["nginx", "-c", str(configuration), "-e", str(folder / "error.log")])
    try:
        eventually(lambda: _listens(port))
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def _send(port: int, data: bytes) -> None:
    """Send bytes, and leave when an answer has come or the other side has gone."""
    with socket.create_connection(("127.0.0.1", port), 10) as caller:
        caller.sendall(data)
        caller.settimeout(0.05)
        with contextlib.suppress(OSError):
            caller.recv(1 << 16)


def _strangers(port: int, requests: Iterable[tuple[str, bytes]]) -> list[str]:
    """After which requests the next caller did not get its own answer."""
    wrong = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        for number, (name, data) in enumerate(requests):
            _send(port, data)
            for again in range(2):
                reply = client.get("/health/live", headers={"x-request-id": f"mine-{number}-{again}"})
                if (reply.status_code, reply.headers.get("x-request-id")) != (200, f"mine-{number}-{again}"):
                    wrong.append(name)
    return wrong


def test_the_next_caller_behind_a_proxy_gets_its_own_answer_whatever_came_before(
    tandem: Tandem, tmp_path: Path
) -> None:
    with nginx(tmp_path, tandem.port) as port:
        assert _strangers(port, _raw()) == []


def test_a_server_that_reads_less_than_the_proxy_gives_one_callers_answer_to_the_next(tmp_path: Path) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Naive) as naive:
        naive.daemon_threads = True
        threading.Thread(target=naive.serve_forever, daemon=True).start()
        with nginx(tmp_path, naive.server_address[1]) as port:
            assert _strangers(port, [("a request as a body", A_REQUEST_AS_A_BODY)])
        naive.shutdown()
