"""What scoring scripts are asked under Azure's own server and under Tandem, and what of the replies must be equal.

`python -m tests.server.web.dialects.azure_cases` asks Azure's server (`make benchmarks/.peers/azureml/made`) and writes
its replies to `azure_replies.json`; the tests compare Tandem's with them.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.harness.tandem import ROOT, eventually, free_port

HERE = Path(__file__).parent
SCRIPTS = HERE / "azure_scripts"
REPLIES = HERE / "azure_replies.json"
PEER = ROOT / "benchmarks/.peers/azureml/bin"
COMPARED = (
    *("content-type", "location", "retry-after", "x-request-id", "x-ms-request-id", "x-ms-client-request-id"),
    *("traceid", "x-ms-run-function-failed"),
)
"""Headers that must be equal; beside them those that the scripts themselves make up, `x-case-…`."""
TIMEOUT_MS = 1000
LATE = "late"
MADE_UP = "made up"
"""Stands for an id that the server made."""


class Case(NamedTuple):
    script: str
    asked: str
    method: str = "POST"
    path: str = "/score"
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return f"{self.script}: {self.asked}"


def _cases() -> Iterator[Case]:
    json_type = (("content-type", "application/json"),)
    for kind in ("application/json", "application/json; charset=utf-8", "text/plain", "text/csv", "image/png", ""):
        yield Case("plain", f"type {kind}", body=b'{"a": 1}', headers=(("content-type", kind),) if kind else ())
    for body in (b"", "zwölf €".encode(), b"\xff", b"abc\xc3", b"\xed\xa0\x80", b"[1,", b"x" * 100_000):
        yield Case("plain", f"body {body[:9]!r}", body=body, headers=json_type)
    for value in ("none", "text", "umlauts", "whole", "number", "small", "large", "pi", "true", "list", "empty list"):
        yield Case("plain", f"value {value}", body=value.encode(), headers=json_type)
    for value in ("object", "written", "tuple", "value error", "key error"):
        yield Case("plain", f"value {value}", body=value.encode(), headers=json_type)
    queries = (
        "",
        "?a=1",
        "?a=1&b=x&b=2",
        "?b=[1,2]&c=a&d=null",
        "?a=%C3%A4+b%26c",
        "?a=",
        "?a",
        '?a={"b":1}',
        "?a=NaN1",
    )
    for query in queries:
        yield Case("plain", f"query {query}", "GET", f"/score{query}")
    yield Case("plain", "query of a POST", path="/score?a=1", body=b"[1]", headers=json_type)
    yield Case("plain", "OPTIONS", "OPTIONS")
    ids = (
        (),
        (("x-request-id", "a"),),
        (("x-ms-client-request-id", "b"),),
        (("x-ms-request-id", "c"),),
        (("x-request-id", "a"), ("x-ms-client-request-id", "b"), ("x-ms-request-id", "c"), ("TraceId", "t")),
        (("x-request-id", "a" * 100), ("TraceId", "t")),
        (("x-request-id", "a" * 101), ("x-ms-request-id", "c")),
        (("x-request-id", "a"), ("x-ms-client-request-id", "b" * 101)),
        (("x-request-id", "a"), ("x-ms-request-id", "c" * 101), ("TraceId", "t")),
    )
    for number, headers in enumerate(ids):
        yield Case("plain", f"ids {number} of a POST", body=b"whole", headers=headers)
        if number != 6:  # there Azure's server names the request by nothing, and we by the id that our log has
            yield Case("plain", f"ids {number} of GET /", "GET", "/", headers=headers)
    yield Case("plain", "ids of a failure", body=b"value error", headers=ids[4])
    yield Case("plain", "ids of OPTIONS", "OPTIONS", headers=ids[4])
    yield Case("plain", "ids of bad text", body=b"\xff", headers=ids[4])
    yield Case("plain", LATE, body=b"sleep", headers=(("x-request-timeout-ms", str(TIMEOUT_MS)), *ids[4]))
    responses = ("text", "bytes", "json", "created", "nothing", "no content", "moved", "bad request", "refused")
    for value in (*responses, "teapot", "failed", "overloaded", "failed well", "headers", "several", "csv"):
        yield Case("headers", f"response {value}", body=value.encode())
    sent = (("X-Case-One", "1"), ("x-CASE-two", "a, b"), *json_type)
    yield Case("headers", "headers of the request", body=b"headers of the request", headers=sent)
    yield Case("headers", "unknown", body=b"unknown", headers=ids[4])
    yield Case(
        "raw", "POST", path="/score?a=1&b=2&b=3", body=b"abc", headers=(("X-Case", "yes"), ("content-type", "a/b"))
    )
    yield Case("raw", "GET", "GET", "/score?a=%20x")
    yield Case("raw", "OPTIONS", "OPTIONS")
    yield Case("raw", "bytes", path="/score?want=bytes", body=b"\x00\xfe\xff", headers=(("content-type", "image/x"),))
    yield Case("raw", "json", path="/score?want=json", body=b'{"a": [1]}', headers=json_type)
    yield Case("raw", "no json", path="/score?want=json", body=b"{", headers=json_type)
    yield Case("raw", "json error", path="/score?want=error", body=b"{", headers=json_type)
    yield Case("raw", "form", body=b"a=1&b=x%20y&b=z", headers=(("content-type", "application/x-www-form-urlencoded"),))
    parts = b"".join(
        b'--xx\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % part
        for part in ((b"word", b"", b"hello"), (b"image", b'; filename="a.png"', b"PNG"))
    )
    multipart = (("content-type", "multipart/form-data; boundary=xx"),)
    yield Case("raw", "files", body=parts + b"--xx--\r\n", headers=multipart)
    good = b'{"num": 3, "table": [[1, 2], [3, 4]], "more": 1}'
    yield Case("schema", "good", body=good, headers=(*json_type, ("X-Case", "yes")))
    for kind in ("application/json; charset=utf-8", "application/vnd.x+json", "text/plain", "text/json", ""):
        yield Case("schema", f"type {kind}", body=good, headers=(("content-type", kind),) if kind else ())
    for body in (
        b"",
        b"{",
        b"[1]",
        b"3",
        b"null",
        b"{}",
        b'{"table": [[1]]}',
        b'{"num": "x"}',
        b'{"num": 1, "table": 7}',
    ):
        yield Case("schema", f"body {body.decode()}", body=body, headers=json_type)
    for query in ("?num=3", "?num=3&table=[[1,2]]", "", "?num=x"):
        yield Case("schema", f"query {query}", "GET", f"/score{query}")
    yield Case("schema", "OPTIONS", "OPTIONS")
    yield Case("mixed", "good", body=b'{"items": ["a", 1]}', headers=json_type)
    for script in ("plain", "schema", "mixed"):
        for version in ("", "?version=2", "?version=2.0", "?version=3", "?version=3.0", "?version=3.1", "?version=4"):
            yield Case(script, f"swagger {version}", "GET", f"/swagger.json{version}")
    yield Case("plain", "ids of swagger", "GET", "/swagger.json?version=x", headers=ids[4])


CASES = tuple(_cases())


def asked(url: str, case: Case, headers: dict[str, str]) -> dict[str, Any]:
    """What a server says to a case; `url` is where its script answers."""
    sent = [*headers.items(), *case.headers]
    reply = httpx.request(case.method, f"{url}{case.path}", content=case.body, headers=sent, timeout=30)
    told = [(name, value) for name, value in reply.headers.multi_items() if name in COMPARED or name[:7] == "x-case-"]
    if case.path == "/":  # the text may be of either type
        told = [(name, value) for name, value in told if name != "content-type"]
    given = {value for _, value in case.headers}
    told = [(name, MADE_UP if name[-10:] == "request-id" and value not in given else value) for name, value in told]
    took = reply.headers.get("x-ms-run-fn-exec-ms", "")
    whole, point, thousandths = took.partition(".")
    return {
        "status": reply.status_code,
        "headers": sorted([name, value] for name, value in told),
        "timed": point == "." and whole.isdigit() and len(thousandths) == 3,
        "body": _described(reply.json()) if case.path.startswith("/swagger") and reply.is_success else _body(reply),
    }


def _body(reply: httpx.Response) -> Any:
    """JSON by what it means, text as it is, and what is neither in base64."""
    if reply.headers.get("content-type") == "application/json":
        return {"json": json.loads(reply.content)}
    try:
        return reply.content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(reply.content).decode()}


def _described(document: Any) -> Any:
    """What a document says of the script: the rest is the server's own, its name and its words."""
    found = document["definitions"] if "definitions" in document else document["components"]["schemas"]
    written = document.get("swagger") or document["openapi"]
    return [written, sorted(document["paths"]), found["ServiceInput"], found["ServiceOutput"]]


@contextmanager
def peer(script: str, folder: Path) -> Iterator[str]:
    """Azure's server with a script; its address."""
    port = free_port()
    command = [PEER / "azmlinfsrv", "--entry_script", SCRIPTS / script / "score.py", "--port", str(port)]
    environment = os.environ | {"PATH": f"{PEER}:{os.environ['PATH']}", "AML_APP_ROOT": str(folder)}
    environment["SCORING_TIMEOUT_MS"] = str(TIMEOUT_MS)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: httpx.get(f"{url}/").status_code == 200)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def recorded(folder: Path, under: Callable[[str, Path], Any] = peer) -> dict[str, Any]:
    """The replies of Azure's server to all cases, by their names."""
    replies: dict[str, Any] = {}
    for script in dict.fromkeys(case.script for case in CASES):
        with under(script, folder) as url:
            replies |= {case.name: asked(url, case, {}) for case in CASES if case.script == script}
    return replies


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps(recorded(Path(folder)), indent=1, ensure_ascii=False)
    REPLIES.write_text(f"{text}\n")
