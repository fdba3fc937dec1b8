"""Media types over real HTTP: what goes in as JSON, Arrow or CSV gives the same bits out as JSON, Arrow or CSV."""

from __future__ import annotations

import gzip
import itertools
import math
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson
import pyarrow as pa
import pytest

from server.wire.frames import BodyFormat
from server.wire.schema import Schema
from tests.harness.tandem import Tandem
from tests.server.workers.codecs.bodies import Row, arrow, csv_body, json_columns, json_rows, read_reply, stream

NAMES = {
    BodyFormat.JSON: "application/json",
    BodyFormat.ARROW: "application/vnd.apache.arrow.stream",
    BodyFormat.CSV: "text/csv",
}
ROWS: dict[str, list[Row]] = {
    "mpg": [
        {"wt": 2.6, "hp": 110.0, "cyl": "6"},
        {"wt": 1 / 3, "hp": 0.1, "cyl": "4"},
        {"wt": None, "hp": 1.0, "cyl": "8"},
        {"wt": "NaN", "hp": 1.0, "cyl": "8"},
        {"wt": "Inf", "hp": 1.0, "cyl": "8"},
        {"wt": "-Inf", "hp": 1.0, "cyl": "8"},
        {"wt": 1.0, "hp": 1.0, "cyl": None},
    ],
    "iris": [
        {"Sepal.Length": 6.1, "Sepal.Width": 2.8, "Petal.Length": 4.7, "Petal.Width": 1.2},
        {"Sepal.Length": 5.1, "Sepal.Width": 3.5, "Petal.Length": 1.4, "Petal.Width": None},
    ],
}
OUTPUTS = [("mpg", None), ("mpg", "confidence"), ("iris", None), ("iris", "class"), ("iris", "prob")]


@pytest.fixture(scope="module")
def client(tandem: Tandem) -> Any:
    with httpx.Client(base_url=tandem.url, headers=tandem.headers(), timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def special(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    """A server that takes small bodies only, with a model that asks for finite numbers and one that asks for text."""
    server = Tandem(tmp_path_factory.mktemp("special"), max_body_mb="0.1")
    server.drop("cars", "lm(dist ~ speed, cars)")
    server.drop("forest", "randomForest::randomForest(dist ~ speed, cars, ntree = 5)")
    server.drop("length", "function(d) as.numeric(nchar(d$s))")
    (server.r_models / "length.yaml").write_text("schema: {inputs: [{name: s, type: string}]}\n")
    yield server.start()
    assert server.stop() == 0


Post = Callable[..., httpx.Response]


@pytest.fixture
def post(client: httpx.Client) -> Post:
    def send(model: str, body: bytes, content: str, query: str = "", **headers: str) -> httpx.Response:
        told = {"content-type": content} | {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post(f"/v1/models/{model}/score{query}", content=body, headers=told)

    return send


def schema_of(tandem: Tandem, model: str) -> Schema:
    return Schema.from_data(tandem.model(model)["versions"][0]["schema"])


def bodies(tandem: Tandem, model: str) -> list[tuple[BodyFormat, bytes]]:
    rows, schema = ROWS[model], schema_of(tandem, model)
    return [
        (BodyFormat.JSON, json_rows(rows)),
        (BodyFormat.JSON, json_columns(rows)),
        (BodyFormat.ARROW, arrow(rows, schema)),
        (BodyFormat.ARROW, arrow(rows, schema, 2)),
        (BodyFormat.CSV, csv_body(rows, schema)),
    ]


def problem(reply: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json"), reply.text
    document = dict(reply.json())
    assert (document["code"], document["status"]) == (code, status)
    return document


@pytest.mark.parametrize(("model", "output"), OUTPUTS)
def test_every_media_type_in_and_out_has_the_same_bits(
    tandem: Tandem, post: Post, model: str, output: str | None
) -> None:
    query = f"?output={output}" if output else ""
    replies = []
    for (content, body), accept in itertools.product(bodies(tandem, model), map(BodyFormat, NAMES)):
        reply = post(model, body, NAMES[content], query, accept=NAMES[accept])
        assert (reply.status_code, reply.headers["content-type"]) == (200, NAMES[accept]), reply.text
        replies.append(read_reply(accept, reply.content))
    assert all(reply == replies[0] for reply in replies)
    assert all(len(column) == len(ROWS[model]) for column in replies[0].values())


def test_special_values_are_what_they_are_in_every_media_type(tandem: Tandem, post: Post) -> None:
    for content, body in bodies(tandem, "mpg"):
        [values] = read_reply(content, post("mpg", body, NAMES[content]).content).values()
        assert values[2] is None
        assert values[3] == ("double", "NaN")
        assert values[6] is None
    table = pa.ipc.open_stream(post("mpg", *_arrow_body(tandem)).content).read_all()
    assert table.column(0).is_null().to_pylist() == [False, False, True, False, False, False, True]
    assert [math.isnan(v) for v in table.column(0).to_pylist()[3:4]] == [True]


def _arrow_body(tandem: Tandem) -> tuple[bytes, str]:
    return arrow(ROWS["mpg"], schema_of(tandem, "mpg")), NAMES[BodyFormat.ARROW]


def test_the_boston_model_takes_all_media_types(tandem: Tandem, post: Post) -> None:
    schema = schema_of(tandem, "boston")
    rows = [{i.name: 1.5 if i.type == "numeric" else 1 for i in schema.inputs}] * 3
    replies = [
        read_reply(content, post("boston", body, NAMES[content]).content)
        for content, body in [
            (BodyFormat.JSON, json_rows(rows)),
            (BodyFormat.ARROW, arrow(rows, schema)),
            (BodyFormat.CSV, csv_body(rows, schema)),
        ]
    ]
    assert replies[0] == replies[1] == replies[2]
    assert len(replies[0]["prediction"]) == 3


# Negotiation

CAR = b"wt,hp,cyl\n2.6,110,6\n"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "text/csv"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV", "text/csv"),
        ("text/*", "text/csv"),
        ("application/json", "application/json"),
        ("application/*", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.stream"),
        ("application/json, text/csv", "application/json"),
        ("text/html, application/json;q=0.9, */*;q=0.1", "application/json"),
        ("text/csv;q=0.5, application/json;q=0.9", "application/json"),
        ("text/csv;q=0, application/json;q=0.1", "application/json"),
        ("text/html, */*;q=0.1", "text/csv"),
        ("application/xml, text/html;level=1, text/csv", "text/csv"),
    ],
)
def test_the_reply_is_in_the_media_type_that_is_liked_best(post: Post, accept: str, expected: str) -> None:
    reply = post("mpg", CAR, "text/csv", accept=accept)
    assert (reply.status_code, reply.headers["content-type"]) == (200, expected)


def test_without_accept_a_reply_is_like_its_request(tandem: Tandem) -> None:
    for content, body in bodies(tandem, "mpg"):
        request = httpx.Request(
            "POST",
            f"{tandem.url}/v1/models/mpg/score",
            content=body,
            headers=tandem.headers() | {"content-type": NAMES[content]},
        )
        assert "accept" not in request.headers
        with httpx.Client() as bare:
            assert bare.send(request).headers["content-type"] == NAMES[content]


@pytest.mark.parametrize("accept", ["text/html", "image/*", "application/xml, text/plain", "text/csv;q=0", "nonsense"])
def test_a_reply_that_nobody_can_write_is_not_acceptable(post: Post, accept: str) -> None:
    told = problem(post("mpg", CAR, "text/csv", accept=accept), 406, "not_acceptable")
    for name in NAMES.values():
        assert name in told["detail"]


@pytest.mark.parametrize("content", ["text/plain", "application/xml", "", "json", "application/vnd.apache.arrow.file"])
def test_a_body_in_another_media_type_is_unsupported(post: Post, content: str) -> None:
    problem(post("mpg", CAR, content), 415, "unsupported_media_type")


@pytest.mark.parametrize("content", ["text/csv; charset=utf-8", "Text/CSV", "text/csv ;header=present"])
def test_parameters_and_case_of_a_media_type_do_not_matter(post: Post, content: str) -> None:
    assert post("mpg", CAR, content).status_code == 200


def test_a_problem_is_json_whatever_is_accepted(post: Post) -> None:
    for accept in NAMES.values():
        problem(post("mpg", b"wt,hp,cyl\nmany,1,4\n", "text/csv", accept=accept), 422, "invalid_input")


# Compressed bodies

ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": lambda body: bytes(pa.compress(body, codec="zstd", asbytes=True)),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_compressed_bodies_of_every_media_type_are_read(tandem: Tandem, post: Post, encoding: str) -> None:
    for content, body in bodies(tandem, "mpg"):
        plain = post("mpg", body, NAMES[content])
        packed = post("mpg", ENCODINGS[encoding](body), NAMES[content], content_encoding=encoding)
        assert (packed.status_code, packed.content) == (200, plain.content)


def test_the_name_of_an_encoding_has_no_case_and_identity_is_none(post: Post) -> None:
    assert post("mpg", gzip.compress(CAR), "text/csv", content_encoding="GZip").status_code == 200
    assert post("mpg", CAR, "text/csv", content_encoding="identity").status_code == 200


@pytest.mark.parametrize("encoding", ["br", "compress", "gzip, gzip", ""])
def test_another_encoding_is_unsupported(post: Post, encoding: str) -> None:
    problem(post("mpg", CAR, "text/csv", content_encoding=encoding), 415, "unsupported_encoding")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_body_that_is_not_compressed_as_it_says_is_a_bad_body(post: Post, encoding: str) -> None:
    whole = ENCODINGS[encoding](CAR)
    for body in (CAR, whole[:-1], whole[1:], b"", whole + b"x"):
        problem(post("mpg", body, "text/csv", content_encoding=encoding), 400, "bad_body")


def test_a_body_that_is_too_large_once_inflated_is_refused(special: Tandem) -> None:
    line = b"speed\n1.5\n"
    allowed = line + b"2.5\n" * ((int(0.1 * 2**20) - len(line)) // 4)
    for encoding, pack in ENCODINGS.items():

        def send(body: bytes, encoding: str = encoding) -> httpx.Response:
            return special.score("cars", body, headers={"content-type": "text/csv", "content-encoding": encoding})

        assert send(pack(allowed)).status_code == 200
        for large in (allowed + b"2.5\n" * 2, line + bytes(50 << 20)):
            assert len(pack(large)) < 100_000
            told = problem(send(pack(large)), 413, "body_too_large")
            assert "0.1 MiB" in told["detail"]
        assert send(pack(line)).status_code == 200


# Query and warnings


def test_options_and_output_come_in_the_query_of_every_media_type(tandem: Tandem, post: Post) -> None:
    replies = []
    for content, body in bodies(tandem, "mpg"):
        reply = post("mpg", body, NAMES[content], "?output=confidence&level=0.5")
        assert reply.status_code == 200, reply.text
        replies.append(read_reply(content, reply.content))
    body = {"rows": ROWS["mpg"], "output": "confidence", "options": {"level": 0.5}}
    replies.append(read_reply(BodyFormat.JSON, post("mpg", orjson.dumps(body), NAMES[BodyFormat.JSON]).content))
    assert all(reply == replies[0] for reply in replies)
    wider = post("mpg", CAR, "text/csv", "?output=confidence&level=0.99").text
    assert wider != post("mpg", CAR, "text/csv", "?output=confidence&level=0.5").text


@pytest.mark.parametrize(
    "query",
    [
        "?output=magic",
        "?output=",
        "?output=confidence&output=confidence",
        "?level=2",
        "?level=x",
        "?x=1",
        "?=",
        "?%ff=%00",
    ],
)
def test_a_query_that_the_model_does_not_know_is_refused(post: Post, query: str) -> None:
    problem(post("mpg", CAR, "text/csv", query), 422, "invalid_input")


def test_what_the_body_and_the_query_both_name_is_refused(post: Post) -> None:
    body = orjson.dumps({"rows": ROWS["mpg"], "output": "confidence"})
    told = problem(post("mpg", body, "application/json", "?output=confidence"), 422, "invalid_input")
    assert told["detail"] == '"output" is given twice'


def test_warnings_are_where_each_media_type_has_a_place_for_them(tandem: Tandem, post: Post) -> None:
    name = 'farbe "ö"\x7f, 😀'
    rows = [row | {name: "red"} for row in ROWS["mpg"]]
    expected = [f'column "{name}" is not an input of this model and was ignored']
    body = json_rows(rows)
    as_json = post("mpg", body, NAMES[BodyFormat.JSON])
    assert as_json.json()["warnings"] == expected
    as_arrow = post("mpg", body, NAMES[BodyFormat.JSON], accept=NAMES[BodyFormat.ARROW])
    assert orjson.loads(pa.ipc.open_stream(as_arrow.content).schema.metadata[b"warnings"]) == expected
    as_csv = post("mpg", csv_body(rows, schema_of(tandem, "mpg")), NAMES[BodyFormat.CSV])
    assert orjson.loads(as_csv.headers["x-tandem-warnings"]) == expected
    for reply in (as_json, as_arrow, post("mpg", CAR, "text/csv")):
        assert "x-tandem-warnings" not in reply.headers


def test_many_long_warnings_do_not_break_the_header(post: Post) -> None:
    names = [f"ü{i}" * 60 for i in range(30)]
    body = ",".join(["wt", "hp", "cyl", *names]) + "\n" + "1,1,4" + ",x" * len(names) + "\n"
    reply = post("mpg", body.encode(), "text/csv")
    assert reply.status_code == 200
    warnings = orjson.loads(reply.headers["x-tandem-warnings"])
    assert len(reply.headers["x-tandem-warnings"]) <= 4096
    assert 1 < len(warnings) < 30
    assert all("was ignored" in warning for warning in warnings)


# Bad bodies: 400 or 422 with a reason, never 500, and the next request is answered


def table(**columns: Any) -> bytes:
    good: dict[str, Any] = {"wt": [2.6, 1.0], "hp": [110.0, 1.0], "cyl": ["6", "4"]}
    return stream(pa.table({k: v for k, v in (good | columns).items() if v is not None}))


def _compressed() -> bytes:
    return stream(pa.table({"wt": [1.0] * 99}), options=pa.ipc.IpcWriteOptions(compression="zstd"))


BAD_CSV: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "only a line end": (b"\n", 422),
    "not utf-8": (b"wt,hp,cyl\n1,1,\xff\n", 400),
    "header not utf-8": (b"wt,hp,cyl,\xff\n1,1,4,1\n", 400),
    "utf-16": ("wt,hp,cyl\n1,1,4\n".encode("utf-16"), 400),
    "open quote": (b'wt,hp,cyl\n1,1,"4\n', 400),
    "header alone": (b"wt,hp,cyl\n", 422),
    "no header": (b"2.6,110,6\n", 422),
    "json": (b'{"rows":[{"wt":1,"hp":1,"cyl":"4"}]}', 400),
    "arrow": (table(), 400),
    "too few cells": (b"wt,hp,cyl\n1,1,4\n1,1\n", 422),
    "too many cells": (b"wt,hp,cyl\n1,1,4\n1,1,4,4\n", 422),
    "semicolons": (b"wt;hp;cyl\n1;1;4\n", 422),
    "missing column": (b"wt,cyl\n1,4\n", 422),
    "column twice": (b"wt,hp,cyl,wt\n1,1,4,1\n", 422),
    "text for a number": (b"wt,hp,cyl\nmany,1,4\n", 422),
    "decimal comma": (b'wt,hp,cyl\n"1,5",1,4\n', 422),
    "quoted NA": (b'wt,hp,cyl\n"NA",1,4\n', 422),
    "beyond 2^53": (b"wt,hp,cyl\n9007199254740993,1,4\n", 422),
    "too large for a double": (b"wt,hp,cyl\n1e999,1,4\n", 422),
    "logical for a number": (b"wt,hp,cyl\nTRUE,1,4\n", 422),
    "unknown level": (b"wt,hp,cyl\n1,1,5\n", 422),
    "quoted empty level": (b'wt,hp,cyl\n1,1,""\n', 422),
    "nul in a level": (b"wt,hp,cyl\n1,1,4\0\n", 422),
}
BAD_ARROW: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "text": (b"wt,hp,cyl\n1,1,4\n", 400),
    "zeros": (bytes(1000), 400),
    "cut": (table()[:-100], 400),
    "first half": (table()[: len(table()) // 2], 400),
    "last half": (table()[len(table()) // 2 :], 400),
    "compressed": (_compressed(), 400),
    "a trillion rows": (
        stream(
            pa.table({"wt": pa.Array.from_buffers(pa.null(), 2**40, [None])}),
            options=pa.ipc.IpcWriteOptions(allow_64bit=True),
        ),
        400,
    ),
    "no rows": (table(wt=pa.array([], pa.float64()), hp=pa.array([], pa.float64()), cyl=pa.array([], pa.utf8())), 422),
    "no columns": (stream(pa.table({})), 422),
    "missing column": (table(hp=None), 422),
    "column twice": (stream(pa.Table.from_arrays([pa.array([1.0])] * 2, names=["wt", "wt"])), 422),
    "text for a number": (table(wt=["2.6", "1"]), 422),
    "logical for a number": (table(wt=[True, False]), 422),
    "beyond 2^53": (table(wt=[1, 2**53 + 1]), 422),
    "decimal": (table(wt=pa.array([1, 2], pa.decimal128(5, 2))), 422),
    "nested": (table(wt=[[1.0], [2.0]]), 422),
    "binary": (table(cyl=[b"6", b"4"]), 422),
    "number for a level": (table(cyl=[6, 4]), 422),
    "unknown level": (table(cyl=pa.array(["6", "5"]).dictionary_encode()), 422),
    "timestamp for a number": (table(wt=pa.array([1, 2], pa.timestamp("ns", "Nowhere/City"))), 422),
    "duration": (table(wt=pa.array([1, 2], pa.duration("ns"))), 422),
    "index outside": (
        table(cyl=pa.DictionaryArray.from_arrays(pa.array([0, 9]), pa.array(["6"]), safe=False)),
        400,
    ),
}
BAD_JSON: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "not json": (b"wt,hp,cyl\n1,1,4\n", 400),
    "arrow": (table(), 400),
    "cut": (b'{"rows":[{"wt":1,', 400),
    "bare NaN": (b'{"rows":[{"wt":NaN,"hp":1,"cyl":"4"}]}', 400),
    "too large for a double": (b'{"rows":[{"wt":1e999,"hp":1,"cyl":"4"}]}', 400),
    "lone surrogate": (b'{"rows":[{"wt":1,"hp":1,"cyl":"\\ud800"}]}', 400),
    "deep": (b"[" * 100_000, 400),
    "an array": (b"[]", 422),
    "null output": (b'{"rows":[{"wt":1,"hp":1,"cyl":"4"}],"output":null}', 422),
    "null options": (b'{"rows":[{"wt":1,"hp":1,"cyl":"4"}],"options":null}', 422),
    "options an array": (b'{"rows":[{"wt":1,"hp":1,"cyl":"4"}],"options":[]}', 422),
    "unknown option": (b'{"rows":[{"wt":1,"hp":1,"cyl":"4"}],"options":{"x":1}}', 422),
    "nested option": (b'{"rows":[{"wt":1,"hp":1,"cyl":"4"}],"options":{"level":{"a":[1]}}}', 422),
    "option twice": (b'{"rows":[{"wt":1,"hp":1,"cyl":"4"}],"options":{"level":0.5,"level":0.6}}', 422),
    "text for a number": (b'{"rows":[{"wt":"1","hp":1,"cyl":"4"}]}', 422),
    "logical for a number": (b'{"rows":[{"wt":true,"hp":1,"cyl":"4"}]}', 422),
    "beyond 2^53": (b'{"rows":[{"wt":9007199254740993,"hp":1,"cyl":"4"}]}', 422),
    "number for a level": (b'{"rows":[{"wt":1,"hp":1,"cyl":4}]}', 422),
    "unknown level": (b'{"rows":[{"wt":1,"hp":1,"cyl":"5"}]}', 422),
    "nul in a level": (b'{"rows":[{"wt":1,"hp":1,"cyl":"4\\u0000"}]}', 422),
    "name twice": (b'{"rows":[{"wt":1,"wt":1,"hp":1,"cyl":"4"}]}', 422),
    "ragged": (b'{"columns":{"wt":[1],"hp":[1,2],"cyl":["4"]}}', 422),
}
BAD = [
    pytest.param(content, *bad, id=f"{NAMES[content].rpartition('/')[2]}-{name}")
    for content, bodies in ((BodyFormat.CSV, BAD_CSV), (BodyFormat.ARROW, BAD_ARROW), (BodyFormat.JSON, BAD_JSON))
    for name, bad in bodies.items()
]


@pytest.mark.parametrize(("content", "body", "status"), BAD)
def test_a_bad_body_is_refused_with_a_reason(post: Post, content: BodyFormat, body: bytes, status: int) -> None:
    told = problem(post("mpg", body, NAMES[content]), status, {400: "bad_body", 422: "invalid_input"}[status])
    assert len(told["detail"]) > 10
    for fault in told.get("errors", []):
        assert set(fault) == {"row", "column", "expected", "got", "hint"}
        assert fault["expected"]
        assert fault["got"]
        assert fault["hint"]
    assert "pyarrow" not in told["detail"].lower()
    assert post("mpg", CAR, "text/csv").status_code == 200


def test_a_fault_names_row_and_column_in_every_media_type(tandem: Tandem, post: Post) -> None:
    rows = [{"wt": 1.0, "hp": 1.0, "cyl": "4"}, {"wt": 1.0, "hp": 1.0, "cyl": "5"}]
    expected = {"row": 1, "column": "cyl", "expected": 'one of "4", "6", "8"', "got": 'the string "5"'}
    schema = schema_of(tandem, "mpg")
    for content, body in [
        (BodyFormat.JSON, json_rows(rows)),
        (BodyFormat.JSON, json_columns(rows)),
        (BodyFormat.ARROW, arrow(rows, schema)),
        (BodyFormat.CSV, csv_body(rows, schema)),
    ]:
        [fault] = problem(post("mpg", body, NAMES[content]), 422, "invalid_input")["errors"]
        assert fault == fault | expected


def test_a_number_that_the_models_own_code_cannot_have_is_the_callers_fault(special: Tandem) -> None:
    """Found by schemathesis: randomForest hands its rows to C code that takes finite numbers only."""
    told = problem(special.score("forest", {"rows": [{"speed": "Inf"}]}), 422, "invalid_input")
    assert "infinite" in told["detail"]
    assert special.score("forest", {"rows": [{"speed": 5}]}).status_code == 200


def test_text_that_r_cannot_hold_is_refused_and_no_process_dies(special: Tandem) -> None:
    """R's own check of U+0000 jumps out of the C code that called it, and took the worker with it."""
    workers = special.processes("worker")
    for content, body in (
        ("application/json", b'{"rows":[{"s":"a"},{"s":"a\\u0000b"}]}'),
        ("text/csv", b"s\na\na\0b\n"),
        ("application/vnd.apache.arrow.stream", stream(pa.table({"s": ["a", "a\0b"]}))),
    ):
        reply = special.score("length", body, headers={"content-type": content})
        [fault] = problem(reply, 422, "invalid_input")["errors"]
        assert (fault["row"], fault["column"]) == (1, "s")
    assert special.score("length", {"rows": [{"s": "süß"}]}).json()["predictions"] == [3]
    assert special.processes("worker") == workers
