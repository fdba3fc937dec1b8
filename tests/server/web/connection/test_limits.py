"""The edge of a real server: hostile, slow and broken clients on raw sockets, and what a refused one gets to read."""

from __future__ import annotations

import gzip
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import orjson
import pyarrow as pa
import pytest

from tests.harness.load import Load, expect
from tests.harness.tandem import Tandem, eventually, parent_of

HEADER_TIMEOUT_S = 1.0
KEEPALIVE_S = 2.0
MAX_CONNECTIONS = 24
SWEEP_S = 1.5
"""How much later than its time a connection is closed: two looks of the sweep, and a busy machine."""

CAR = {"wt": 2.6, "hp": 110, "cyl": "6"}
SPEED = {"rows": [{"speed": 10}]}
HOST = b"host: a\r\n"
GET = b"GET /health/live HTTP/1.1\r\n" + HOST


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, example_models: Path) -> Iterator[Tandem]:
    """A server with short times and few connections."""
    server = Tandem(
        tmp_path_factory.mktemp("edge"),
        header_timeout_s=HEADER_TIMEOUT_S,
        keepalive_s=KEEPALIVE_S,
        timeout_s=4,
        max_connections=MAX_CONNECTIONS,
        max_body_mb=80,
        r_workers=1,
    )
    for suffix in (".rds", ".yaml"):
        path = example_models / f"mpg{suffix}"
        if path.exists():
            (server.r_models / path.name).write_bytes(path.read_bytes())
    server.start()
    yield server
    assert server.stop() == 0


class Answers:
    """What came back on a connection until it was closed, or until nothing came any more."""

    def __init__(self, connection: socket.socket, timeout_s: float = 6.0) -> None:
        connection.settimeout(timeout_s)
        started = time.monotonic()
        self.data = b""
        self.closed = True
        try:
            while part := connection.recv(1 << 16):
                self.data += part
        except TimeoutError:
            self.closed = False
        self.seconds = time.monotonic() - started

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.data)]

    def refused(self, status: int, code: str) -> bool:
        """Whether the last answer is this problem, in full form, and the connection was closed with it."""
        head, _, body = self.data.rpartition(b"\r\n\r\n")
        assert self.statuses[-1:] == [status], self.data[:2000]
        document = orjson.loads(body)
        headers = head.rpartition(b"HTTP/1.1 ")[2].lower()
        assert b"content-type: application/problem+json" in headers
        assert b"connection: close" in headers
        assert b"x-request-id: " + document["request_id"].encode().lower() in headers
        return bool(document["status"] == status and document["code"] == code and self.closed)


def connected(server: Tandem) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def said(server: Tandem, *parts: bytes) -> Answers:
    with connected(server) as connection:
        for part in parts:
            connection.sendall(part)
        return Answers(connection)


def post(server: Tandem, headers: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    head = b"POST /v1/models/mpg/score HTTP/%b\r\n%bauthorization: Bearer %b\r\ncontent-type: application/json\r\n"
    return head % (version, HOST, server.token().encode()) + headers + b"\r\n" + body


def to_token(request: bytes) -> bytes:
    """The same request to a route of FastAPI's side, which reads forms."""
    return request.replace(b"/v1/models/mpg/score", b"/auth/token").replace(
        b"application/json", b"application/x-www-form-urlencoded"
    )


def alive(server: Tandem) -> bool:
    return server.score("mpg", {"rows": [CAR]}).status_code == 200


# Heads


@pytest.mark.parametrize(
    "head",
    [
        GET + b"x: " + b"a" * 70_000 + b"\r\n\r\n",
        GET.replace(b"/live", b"/" + b"a" * 70_000) + b"\r\n",
        GET + b"x: a\r\n" * 100 + b"\r\n",
        GET + b"x: " + b"a" * 5_000_000,
        b"GET /" + b"a" * 5_000_000,
    ],
    ids=["header", "path", "number", "endless-header", "endless-path"],
)
def test_a_head_that_is_too_large_is_refused(edge: Tandem, head: bytes) -> None:
    assert said(edge, head).refused(431, "headers_too_large")
    eventually(lambda: edge.metric("tandem_edge_refusals_total", code="headers_too_large") > 0)


def test_a_head_up_to_the_limits_is_read(edge: Tandem) -> None:
    for headers in (b"x: " + b"a" * 65_000 + b"\r\n", b"x: a\r\n" * 98):
        answers = said(edge, GET + headers + b"connection: close\r\n\r\n")
        assert answers.statuses == [200]


def test_a_head_must_be_complete_in_time(edge: Tandem) -> None:
    with connected(edge) as slow, connected(edge) as dripping, connected(edge) as silent, connected(edge) as kept:
        slow.sendall(GET)
        kept.sendall(GET + b"\r\n")
        for letter in b"GET /":
            dripping.sendall(bytes([letter]))
        eventually(lambda: kept.recv(1 << 16))
        kept.sendall(b"G")
        answers = [Answers(connection) for connection in (slow, dripping, kept)]
        assert all(a.refused(408, "request_timeout") for a in answers)
        assert answers[0].seconds < HEADER_TIMEOUT_S + SWEEP_S
        assert (Answers(silent).data, Answers(silent).closed) == (b"", True)


def test_an_idle_connection_is_kept_for_its_time_and_then_closed(edge: Tandem) -> None:
    answers = said(edge, GET + b"\r\n")
    assert (answers.statuses, answers.closed) == ([200], True)
    assert KEEPALIVE_S - 0.5 < answers.seconds < KEEPALIVE_S + SWEEP_S


# Bodies


def test_a_body_that_does_not_end_is_given_up_after_the_servers_timeout(edge: Tandem) -> None:
    request = post(edge, b"content-length: 100\r\n", b"{")
    with connected(edge) as scoring, connected(edge) as signing_in:
        scoring.sendall(request)
        signing_in.sendall(to_token(request))
        for connection in (scoring, signing_in):
            assert Answers(connection).refused(408, "request_timeout")
    assert not [line for line in edge.log_lines() if "exception" in line]


def test_a_refused_body_is_read_away_so_that_the_refusal_is_read(edge: Tandem) -> None:
    """A client reads when it has sent everything: it must not be cut off before."""
    size = 90 << 20
    answers = said(edge, post(edge, b"content-length: %d\r\n" % size), b"x" * size)
    assert answers.refused(413, "body_too_large")
    answers = said(edge, post(edge, b"content-length: %d\r\n" % size).replace(b"mpg", b"none"), b"x" * size)
    assert answers.refused(404, "unknown_model")


def test_a_length_that_is_not_declared_is_counted(edge: Tandem) -> None:
    size = 1 << 20
    chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
    chunked = post(edge, b"transfer-encoding: chunked\r\n")
    assert said(edge, chunked, *[chunk] * 81).refused(413, "body_too_large")
    assert said(edge, to_token(chunked), chunk).refused(413, "body_too_large")


def test_who_asks_before_sending_too_much_is_refused_at_once(edge: Tandem) -> None:
    request = post(edge, b"expect: 100-continue\r\ncontent-length: 100000000\r\n")
    with connected(edge) as scoring, connected(edge) as signing_in:
        scoring.sendall(request)
        signing_in.sendall(to_token(request))
        for connection in (scoring, signing_in):
            answers = Answers(connection)
            assert answers.statuses == [413]
            assert answers.refused(413, "body_too_large")


def test_who_asks_before_sending_is_told_to_go_on(edge: Tandem) -> None:
    body = orjson.dumps({"rows": [CAR]})
    with connected(edge) as connection:
        length = b"content-length: %d\r\n" % len(body)
        connection.sendall(post(edge, b"connection: close\r\nexpect: 100-continue\r\n" + length))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert Answers(connection).statuses == [200]


def test_a_small_body_that_would_fill_the_memory_is_refused_and_fills_none(edge: Tandem) -> None:
    [worker] = edge.processes("worker")
    assert alive(edge)
    before = _peak_kib(worker)
    zeros = bytes(400 << 20)
    for encoding, body in (("gzip", gzip.compress(zeros, 1)), ("zstd", pa.compress(zeros, "zstd", asbytes=True))):
        assert len(body) < 10 << 20
        reply = edge.score("mpg", body, headers={"content-encoding": encoding})
        assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")
    assert edge.processes("worker") == [worker]
    assert _peak_kib(worker) - before < 3 * 80 * 1024


@pytest.mark.parametrize("encoding", ["br", "compress", "gzip, gzip", "gzip, zstd", "x-gzip", ""])
def test_an_unknown_encoding_is_refused(edge: Tandem, encoding: str) -> None:
    reply = edge.score("mpg", {"rows": [CAR]}, headers={"content-encoding": encoding})
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_encoding")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"rows":[{"wt":%b}]}' % (b"[" * 100_000 + b"]" * 100_000), 400),
        (b"[" * 30_000_000, 400),
        (b'{"rows":[{"wt":%b}]}' % (b"1" * 1_000_000), 400),
        (b'{"rows":[{"wt":2.6,"hp":110,"cyl":"%b"}]}' % (b":" * 60_000_000), 422),
        (b'{"rows":[%b]}' % b",".join([b"{}"] * 2_000_000), 422),
        (b'{"rows":[{"wt":1,"wt":2.6,"hp":110,"cyl":"6"}]}', 422),
        (b'{"rows":[{"wt":2.6,"hp":110,"cyl":"\\ud800"}]}', 400),
        (b'{"rows":[{"wt":1e999,"hp":110,"cyl":"6"}]}', 400),
        (b'{"rows":[{%b}]}' % b",".join(b'"k%d":1' % i for i in range(500_000)), 422),
    ],
    ids=["deep", "open", "digits", "string", "empty-objects", "twice", "surrogate", "overflow", "keys"],
)
def test_a_hostile_body_is_refused_by_the_worker_that_lives_on(edge: Tandem, body: bytes, status: int) -> None:
    workers = edge.processes("worker")
    assert edge.score("mpg", body).status_code == status
    assert edge.processes("worker") == workers


def test_lying_arrow_bodies_are_refused_by_the_worker_that_lives_on(edge: Tandem) -> None:
    workers = edge.processes("worker")
    table = pa.table({"wt": [2.6], "hp": [110.0], "cyl": ["6"]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    body = sink.getvalue().to_pybytes()
    arrow = {"content-type": "application/vnd.apache.arrow.stream"}
    assert edge.score("mpg", body, headers=arrow).status_code == 200
    lies = [body[:cut] for cut in range(0, len(body), 97)]
    lies += [body[:at] + b"\xff\xff\xff\x7f" + body[at + 4 :] for at in range(0, len(body) - 4, 8)]
    with httpx.Client(headers=edge.headers() | arrow, timeout=60) as client:
        statuses = {client.post(f"{edge.url}/v1/models/mpg/score", content=lie).status_code for lie in lies}
    assert statuses <= {200, 400, 413, 422}
    assert 400 in statuses
    assert edge.processes("worker") == workers


# Forms with two readings

REFUSED_HEADERS: dict[str, bytes] = {
    "length-twice": b"content-length: 5\r\ncontent-length: 5\r\n",
    "two-lengths": b"content-length: 5\r\ncontent-length: 6\r\n",
    "length-list": b"content-length: 5, 5\r\n",
    "negative-length": b"content-length: -5\r\n",
    "plus-length": b"content-length: +5\r\n",
    "hex-length": b"content-length: 0x5\r\n",
    "length-in-words": b"content-length: five\r\n",
    "length-apart": b"content-length: 1 2\r\n",
    "huge-length": b"content-length: 99999999999999999999999\r\n",
    "length-with-fraction": b"content-length: 5.0\r\n",
    "length-underscored": b"content-length: 1_0\r\n",
    "length-in-other-digits": b"content-length: \xd9\xa5\r\n",
    "empty-length": b"content-length: \r\n",
    "length-and-chunked": b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
    "chunked-and-length": b"transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    "identity": b"transfer-encoding: identity\r\n",
    "chunked-identity": b"transfer-encoding: chunked, identity\r\n",
    "gzip-chunked": b"transfer-encoding: gzip, chunked\r\n",
    "xchunked": b"transfer-encoding: xchunked\r\n",
    "quoted-chunked": b'transfer-encoding: "chunked"\r\n',
    "chunked-with-weight": b"transfer-encoding: chunked;q=1\r\n",
    "chunked-and-nothing": b"transfer-encoding: chunked,\r\n",
    "chunked-twice": b"transfer-encoding: chunked, chunked\r\n",
    "two-codings": b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
    "vertical-tab": b"transfer-encoding: \x0bchunked\r\n",
    "folded": b"transfer-encoding:\r\n chunked\r\n",
    "space-before-colon": b"content-length : 5\r\n",
    "space-before-name": b" content-length: 5\r\n",
    "no-colon": b"content-length 5\r\n",
    "bare-lf": b"x: a\ncontent-length: 5\r\n",
    "bare-cr": b"x: a\rcontent-length: 5\r\n",
    "nul-in-value": b"x: a\0b\r\n",
    "nul-in-name": b"x\0: a\r\n",
    "two-hosts": b"host: b\r\n",
    "two-tokens": b"authorization: Bearer x\r\n",
    "two-encodings": b"content-encoding: gzip\r\ncontent-encoding: identity\r\n",
}


@pytest.mark.parametrize("headers", REFUSED_HEADERS.values(), ids=REFUSED_HEADERS.keys())
def test_a_head_with_two_readings_is_refused(edge: Tandem, headers: bytes) -> None:
    assert said(edge, post(edge, headers, b"5\r\n{   }\r\n0\r\n\r\n" + GET + b"\r\n")).refused(400, "bad_request")


REFUSED_LINES: dict[str, bytes] = {
    "no-host": b"GET /health/live HTTP/1.1\r\n\r\n",
    "lf-only": b"GET /health/live HTTP/1.1\nhost: a\n\n",
    "http-0.9": b"GET /health/live\r\n\r\n",
    "called-0.9": b"GET /health/live HTTP/0.9\r\n" + HOST + b"\r\n",
    "http-1.2": b"GET /health/live HTTP/1.2\r\n" + HOST + b"\r\n",
    "http-2.0": b"GET /health/live HTTP/2.0\r\n" + HOST + b"\r\n",
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "lower-case": b"get /health/live HTTP/1.1\r\n" + HOST + b"\r\n",
    "unknown-method": b"FOO /health/live HTTP/1.1\r\n" + HOST + b"\r\n",
    "connect": b"CONNECT a:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "space-in-path": b"GET /health /live HTTP/1.1\r\n" + HOST + b"\r\n",
    "path-not-ascii": b"GET /h\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n",
    "chunked-1.0": b"POST / HTTP/1.0\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("line", REFUSED_LINES.values(), ids=REFUSED_LINES.keys())
def test_what_is_no_request_is_refused(edge: Tandem, line: bytes) -> None:
    assert said(edge, line).refused(400, "bad_request")


REFUSED_CHUNKS: dict[str, bytes] = {
    "not-hex": b"g\r\nabc\r\n0\r\n\r\n",
    "0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "negative": b"-3\r\nabc\r\n0\r\n\r\n",
    "plus": b"+3\r\nabc\r\n0\r\n\r\n",
    "no-size": b"\r\nabc\r\n0\r\n\r\n",
    "overflow": b"11111111111111111\r\nabc\r\n0\r\n\r\n",
    "lf-after-size": b"3\nabc\r\n0\r\n\r\n",
    "lf-in-extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "longer-than-said": b"3\r\nabcde\r\n0\r\n\r\n",
    "space-after-size": b"3 \r\nabc\r\n0\r\n\r\n",
    "underscored": b"0_3\r\nabc\r\n0\r\n\r\n",
    "half-line-after-data": b"3\r\nabc\n0\r\n\r\n",
}


@pytest.mark.parametrize("chunks", REFUSED_CHUNKS.values(), ids=REFUSED_CHUNKS.keys())
def test_a_chunk_with_two_readings_is_refused(edge: Tandem, chunks: bytes) -> None:
    assert said(edge, post(edge, b"transfer-encoding: chunked\r\n"), chunks).refused(400, "bad_request")


def test_forms_with_one_reading_are_read_so(edge: Tandem) -> None:
    body = orjson.dumps({"rows": [CAR]})
    chunks = b"".join(b"1;a=b\r\n%c\r\n" % byte for byte in body) + b"0\r\nx: y\r\n\r\n"
    length = b"content-length: %d\r\n" % len(body)
    forms = [
        post(edge, length, body),
        post(edge, b"Transfer-Encoding:\tCHUNKED\r\n", chunks),
        post(edge, length + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n", body),
        post(edge, length + b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n", body),
        post(edge, length, body).replace(b"POST /", b"POST http://b/"),
    ]
    together = said(edge, b"\r\n" + b"".join(forms) + post(edge, length, body, version=b"1.0"))
    assert together.statuses == [200] * 6
    answers = re.findall(rb'\{"model":"mpg".*?\}', together.data)
    assert len(answers) == 6
    assert len(set(answers)) == 1
    assert together.data.count(b"connection: close") == 1


# Connections


def test_too_many_connections_are_told_so_and_those_that_are_open_go_on(edge: Tandem) -> None:
    eventually(lambda: said(edge, GET + b"connection: close\r\n\r\n").statuses == [200])
    with ExitStack() as stack, httpx.Client() as kept:
        assert kept.get(f"{edge.url}/health/ready").status_code == 200
        assert kept.get(f"{edge.url}/v1/models", headers=edge.headers()).status_code == 200
        for _ in range(2 * MAX_CONNECTIONS):
            stack.enter_context(connected(edge)).sendall(post(edge, b"content-length: 9\r\n"))
        started = time.monotonic()
        answers = said(edge, post(edge, b"content-length: 9000000\r\n"), b"x" * 9_000_000)
        assert answers.refused(503, "too_many_connections")
        assert b"retry-after" in answers.data.lower()
        assert time.monotonic() - started < 1
        assert kept.get(f"{edge.url}/v1/models", headers=edge.headers()).status_code == 200
        assert edge.get("/health/live", user=None).status_code == 200
        assert edge.metric("tandem_workers") >= 1
    assert eventually(lambda: alive(edge))


def test_silent_connections_keep_nobody_out(edge: Tandem) -> None:
    with ExitStack() as stack, httpx.Client() as kept:
        assert kept.get(f"{edge.url}/v1/models", headers=edge.headers()).status_code == 200
        silent = [stack.enter_context(connected(edge)) for _ in range(2 * MAX_CONNECTIONS)]
        for connection in silent[::2]:
            with suppress(OSError):
                connection.sendall(GET + b"\r\n")
        assert edge.get("/v1/models").status_code == 200
        assert edge.get("/auth%2faccounts").status_code == 404
        assert kept.get(f"{edge.url}/v1/models", headers=edge.headers()).status_code == 200


# The stop of a web process


def test_web_processes_are_replaced_without_a_lost_request(tandem_factory: type[Tandem]) -> None:
    server = tandem_factory(web_workers=2, r_workers=1)
    server.drop("cars", "lm(dist ~ speed, cars)")
    server.start()
    expected = server.score("cars", SPEED).json()["predictions"]
    before = server.processes("web")
    with Load(server, "cars", SPEED, expect(expected), threads=6) as load:
        eventually(lambda: load.answered > 200)
        os.kill(before[0], signal.SIGTERM)
        eventually(lambda: before[0] not in server.processes("web") and len(server.processes("web")) == 2)
        os.kill(parent_of(before[1]), signal.SIGHUP)  # gunicorn replaces all
        eventually(lambda: not set(before) & set(server.processes("web")) and len(server.processes("web")) == 2)
        since = load.answered
        eventually(lambda: load.answered > since + 200)
    assert load.wrong == []
    assert load.refused_connections == 0


def _peak_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0])
